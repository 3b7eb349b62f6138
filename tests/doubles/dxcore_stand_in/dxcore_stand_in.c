// A stand-in for WSL's libdxcore.so. Not a GPU, and nothing of Windows: the four flat functions that list and query
// adapters, and the factory with its lists and adapters as objects with tables of functions; both show the two adapters
// made up here. It checks sizes, ids, handles and references as the real one does, and aborts a caller who is wrong or
// leaves one open.
//
// The environment's DXCORE_STAND_IN names faults, with commas between them. Of the flat functions: hang, crash, enum (the
// list fails), query (each question fails), null (status 0 and no adapters), small (the list has always grown). Of the
// factory: no_factory (HRESULT 0xd0000001), null_factory (all is well, and nothing is handed out, as the wheel's empty
// library does), null_slot, no_list, null_list, count (65 adapters), no_adapter, no_parts (the older form of the ids),
// no_ids, properties (each fails), sizes (each has 3 bytes), wide (text in units of 32 bits), software, npu, factory_crash,
// factory_hang. Layouts: include/uapi/misc/d3dkmthk.h of microsoft/WSL2-Linux-Kernel; text is in units of 32 bits there
// (rocprofiler-sdk, platform/wsl/agent.cpp); dxcore_interface.h of microsoft/DirectX-Headers.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int32_t NTSTATUS;
#define INVALID_PARAMETER ((NTSTATUS)0xC000000D)
#define BUFFER_TOO_SMALL ((NTSTATUS)0xC0000023)
#define UNSUCCESSFUL ((NTSTATUS)0xC0000001)

struct adapter_info { uint32_t handle, luid_low; int32_t luid_high; uint32_t sources, present; };
struct enum2 { uint32_t count, reserved; struct adapter_info *list; };
struct enum3 { uint64_t filter; uint32_t count, reserved; struct adapter_info *list; };
struct query { uint32_t handle, type; void *data; uint32_t size, padding; };
_Static_assert(sizeof(struct adapter_info) == 20, "adapter_info");
_Static_assert(sizeof(struct enum2) == 16, "enum2");
_Static_assert(sizeof(struct enum3) == 24, "enum3");
_Static_assert(sizeof(struct query) == 24, "query");

#define COUNT 2
static const char *const NAMES[COUNT] = {"STAND-IN AMD Radeon RX 7900 XTX", "STAND-IN \xc3\x9c"};
static const uint32_t IDS[COUNT][6] = {{0x1002, 0x744C, 0x1002, 0x0E3B, 0xC8, 1}, {0x8086, 0x46A6, 0x1028, 0x0B08, 0x0C, 1}};
static const uint64_t DEDICATED[COUNT] = {25753026560u, 134217728u};
static const uint32_t BITS[COUNT] = {1 | 1 << 4, 1 | 1 << 5};
static int open_handles[COUNT];

static int faulty(const char *name) {
    const char *fault = getenv("DXCORE_STAND_IN");
    size_t length = strlen(name);
    for (; fault && *fault; fault += strcspn(fault, ","), fault += *fault == ',') {
        if (strcspn(fault, ",") == length && strncmp(fault, name, length) == 0) return 1;
    }
    return 0;
}

static long references;

static __attribute__((destructor)) void end(void) {
    if (open_handles[0] || open_handles[1] || references) abort();
}

static NTSTATUS list(uint32_t *count, struct adapter_info *at) {
    if (faulty("hang")) for (;;) pause();
    if (faulty("crash")) abort();
    if (faulty("enum")) return UNSUCCESSFUL;
    if (faulty("null")) { *count = 0; return 0; }
    if (!at) { *count = COUNT; return 0; }
    if (*count < COUNT || faulty("small")) return BUFFER_TOO_SMALL;
    for (uint32_t i = 0; i < COUNT; i++) {
        at[i] = (struct adapter_info){0x40000000u + i, 0xABCD + i, 0, 1, 1};
        open_handles[i]++;
    }
    *count = COUNT;
    return 0;
}

#ifndef WITHOUT_FLAT
NTSTATUS D3DKMTEnumAdapters2(struct enum2 *a) { return list(&a->count, a->list); }
#ifndef WITHOUT_ENUM3
NTSTATUS D3DKMTEnumAdapters3(struct enum3 *a) { return a->filter & ~3u ? INVALID_PARAMETER : list(&a->count, a->list); }
#endif

static NTSTATUS answer(struct query *q, const void *data, size_t size) {
    if (q->size != size) return INVALID_PARAMETER;
    memcpy(q->data, data, size);
    return 0;
}

NTSTATUS D3DKMTQueryAdapterInfo(struct query *q) {
    uint32_t i = q->handle - 0x40000000u;
    if (i >= COUNT || !open_handles[i] || !q->data) return INVALID_PARAMETER;
    if (faulty("query")) return UNSUCCESSFUL;
    switch (q->type) {
        case 31: {
            uint32_t ids[7] = {0};
            memcpy(ids + 1, IDS[i], sizeof IDS[i]);
            return answer(q, ids, sizeof ids);
        }
        case 8: {
            uint32_t text[4 * 260] = {0};
            const unsigned char *from = (const unsigned char *)NAMES[i];
            for (int n = 0; *from; n++) {
                text[n] = *from < 0x80 ? *from : (uint32_t)(*from & 0x1F) << 6 | (from[1] & 0x3F);
                from += *from < 0x80 ? 1 : 2;
            }
            return answer(q, text, sizeof text);
        }
        case 3: return answer(q, (uint64_t[]){DEDICATED[i], 0, 8ull << 30}, 24);
        case 18: return answer(q, (uint64_t[]){32ull << 48 | 22029ull << 16 | 9039}, 8);
        case 13: return answer(q, (uint32_t[]){3200}, 4);
        case 6: return answer(q, (uint32_t[]){3 + i, 0, 0}, 12);
        case 15: case 57: return answer(q, &BITS[i], 4);
    }
    return INVALID_PARAMETER;
}

#ifndef WITHOUT_CLOSE
NTSTATUS D3DKMTCloseAdapter(const uint32_t *handle) {
    uint32_t i = *handle - 0x40000000u;
    if (i >= COUNT || !open_handles[i]) return INVALID_PARAMETER;
    open_handles[i]--;
    return 0;
}
#endif
#endif

// --- the factory ---------------------------------------------------------------------------------------------------

#ifndef WITHOUT_FACTORY
typedef int32_t HRESULT;
#define E_INVALIDARG ((HRESULT)0x80070057)
#define E_NOINTERFACE ((HRESULT)0x80004002)
#define E_FAIL ((HRESULT)0x80004005)
#define E_UNEXPECTED_NT ((HRESULT)0xD0000001)

struct guid { uint32_t a; uint16_t b, c; uint8_t d[8]; };
_Static_assert(sizeof(struct guid) == 16, "guid");
static const struct guid FACTORY = {0x78ee5945, 0xc36e, 0x4b13, {0xa6, 0x69, 0x00, 0x5d, 0xd1, 0x1c, 0x0f, 0x06}};
static const struct guid LIST = {0x526c7776, 0x40e9, 0x459b, {0xb7, 0x11, 0xf3, 0x2a, 0xd7, 0x6d, 0xfc, 0x28}};
static const struct guid ADAPTER = {0xf0db4c7f, 0xfe5a, 0x42a2, {0xbd, 0x62, 0xf2, 0xa6, 0xcf, 0x6f, 0xc8, 0x3e}};
static const struct guid GRAPHICS = {0x0c9ece4d, 0x2f6e, 0x4f01, {0x8c, 0x96, 0xe8, 0x9e, 0x33, 0x1b, 0x47, 0xb1}};
static const struct guid COMPUTE = {0x248e2800, 0xa793, 0x4724, {0xab, 0xaa, 0x23, 0xa6, 0xde, 0x1b, 0xe0, 0x90}};

static int is(const struct guid *one, const struct guid *other) { return memcmp(one, other, sizeof *one) == 0; }

struct object { void *const *table; uint32_t index, count; };

static uint32_t add_reference(struct object *self) { references++; return ++self->count; }
static uint32_t release(struct object *self) {
    if (!self->count) abort();
    references--;
    uint32_t left = --self->count;
    if (!left) free(self);
    return left;
}
static HRESULT query_interface(struct object *self, const struct guid *id, void **made) {
    (void)self; (void)id; *made = NULL;
    return E_NOINTERFACE;
}
static HRESULT make(void *const *table, uint32_t index, void **made) {
    struct object *new = calloc(1, sizeof *new);
    new->table = table;
    new->index = index;
    add_reference(new);
    *made = new;
    return 0;
}
static void never(void) { abort(); }

static bool is_attribute_supported(struct object *self, const struct guid *attribute) {
    (void)self;
    if (is(attribute, &COMPUTE)) return true;
    if (!is(attribute, &GRAPHICS)) abort();
    return !faulty("npu");
}
static bool is_property_supported(struct object *self, uint32_t property) {
    (void)self;
    return property <= 14 && !(property == 14 && (faulty("no_parts") || faulty("no_ids"))) && !(property == 3 && faulty("no_ids"));
}
// The size of a property, its bytes in `at`.
static size_t property(uint32_t i, uint32_t number, void *at) {
    const uint32_t *id = IDS[i];
    uint64_t version = 32ull << 48 | 22029ull << 16 | 9039;
    switch (number) {
        case 0: memcpy(at, (uint32_t[]){0xABCD + i, 0}, 8); return 8;
        case 1: memcpy(at, &version, 8); return 8;
        case 2: {
            size_t length = strlen(NAMES[i]) + 1;
            if (!faulty("wide")) { memcpy(at, NAMES[i], length); return length; }
            uint32_t wide[64] = {0};
            for (size_t n = 0; n < length; n++) wide[n] = (unsigned char)NAMES[i][n];
            memcpy(at, wide, 4 * length);
            return 4 * length;
        }
        case 3: memcpy(at, (uint32_t[]){id[0], id[1], id[3] << 16 | id[2], id[4]}, 16); return 16;
        case 4: memcpy(at, (uint32_t[]){3200}, 4); return 4;
        case 7: memcpy(at, &DEDICATED[i], 8); return 8;
        case 11: *(char *)at = !faulty("software"); return 1;
        case 12: *(char *)at = i == 1; return 1;
        case 13: *(char *)at = 0; return 1;
        case 14: memcpy(at, (uint32_t[]){id[0], id[1], id[3], id[2], id[4]}, 20); return 20;
    }
    abort();
}
static HRESULT get_property_size(struct object *self, uint32_t number, size_t *size) {
    char data[512];
    if (!is_property_supported(self, number)) return E_INVALIDARG;
    *size = faulty("sizes") ? 3 : property(self->index, number, data);
    return 0;
}
static HRESULT get_property(struct object *self, uint32_t number, size_t size, void *at) {
    char data[512];
    if (faulty("properties")) return E_FAIL;
    if (!is_property_supported(self, number) || property(self->index, number, data) != size) return E_INVALIDARG;
    memcpy(at, data, size);
    return 0;
}
static void *const ADAPTER_TABLE[] = {
    query_interface, add_reference, release, never, is_attribute_supported, is_property_supported, get_property,
    get_property_size, never, never, never, never, never,
};

static uint32_t get_adapter_count(struct object *self) { (void)self; return faulty("count") ? 65 : COUNT; }
static HRESULT get_adapter(struct object *self, uint32_t index, const struct guid *id, void **made) {
    (void)self;
    *made = NULL;
    if (index >= COUNT || !is(id, &ADAPTER)) return E_INVALIDARG;
    return faulty("no_adapter") ? E_FAIL : make(ADAPTER_TABLE, index, made);
}
static void *const LIST_TABLE[] = {query_interface, add_reference, release, get_adapter, get_adapter_count, never, never, never, never};

static HRESULT create_adapter_list(struct object *self, uint32_t count, const struct guid *attributes, const struct guid *id, void **made) {
    (void)self;
    *made = NULL;
    if (count != 1 || !is(attributes, &COMPUTE) || !is(id, &LIST)) return E_INVALIDARG;
    if (faulty("factory_hang")) for (;;) pause();
    if (faulty("factory_crash")) abort();
    if (faulty("no_list")) return E_FAIL;
    return faulty("null_list") ? 0 : make(LIST_TABLE, 0, made);
}
static void *const FACTORY_TABLE[] = {query_interface, add_reference, release, create_adapter_list, never, never, never, never};
static void *const HOLLOW_TABLE[] = {query_interface, add_reference, release, NULL};

HRESULT DXCoreCreateAdapterFactory(const struct guid *id, void **made) {
    *made = NULL;
    if (!is(id, &FACTORY)) return E_NOINTERFACE;
    if (faulty("no_factory")) return E_UNEXPECTED_NT;
    if (faulty("null_factory")) return 0;
    return make(faulty("null_slot") ? HOLLOW_TABLE : FACTORY_TABLE, 0, made);
}
#endif

// A stand-in for WSL's libdxcore.so. Not a GPU, and nothing of Windows: the four flat functions that list and query
// adapters, which show the two adapters made up here. It checks sizes and handles as the real one does, and aborts a caller
// who leaves one open.
//
// The environment's DXCORE_STAND_IN names faults, with commas between them: hang, crash, enum (the list fails), query (each
// question fails), null (status 0 and no adapters), small (the list has always grown). Layouts: include/uapi/misc/d3dkmthk.h of
// microsoft/WSL2-Linux-Kernel; text is in units of 32 bits there (rocprofiler-sdk, platform/wsl/agent.cpp).
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

static __attribute__((destructor)) void end(void) {
    if (open_handles[0] || open_handles[1]) abort();
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

// A stand-in for WSL's libdxcore.so, as torch-directml's native library uses it. Not a GPU, and nothing of Windows: a factory, a
// list and one adapter made up here, behind tables of functions in the order of DirectX' public headers (dxcore_interface.h).
//
// DIRECTX_STAND_IN in the environment: blank-separated words. `factory=0x…` fails with that HRESULT; `adapters=N` lists the one
// adapter N times (0 without the word).
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int32_t HRESULT;
typedef struct { uint8_t bytes[16]; } GUID;
#define E_INVALIDARG ((HRESULT)0x80070057)
#define DXGI_ERROR_UNSUPPORTED ((HRESULT)0x887A0004)

static long wish(const char *word, long otherwise) {
    const char *all = getenv("DIRECTX_STAND_IN"), *found = all ? strstr(all, word) : NULL;
    return found ? strtol(found + strlen(word), NULL, 0) : otherwise;
}

typedef struct { const void *const *functions; } Object;
static Object factory, list, adapter;

static HRESULT query_interface(Object *self, const GUID *what, void **out) {
    (void)what;
    *out = self;
    return 0;
}
static uint32_t count_reference(Object *self) { (void)self; return 1; }

// --- IDXCoreAdapter ---

static const char DESCRIPTION[] = "STAND-IN, no adapter";
static uint8_t yes(Object *self) { (void)self; return 1; }
static uint8_t knows_attribute(Object *self, const GUID *attribute) { (void)self; (void)attribute; return 1; }
static uint8_t knows_property(Object *self, uint32_t property) { (void)self; return property <= 13; }

// InstanceLuid, DriverVersion, DriverDescription, HardwareID, …, DedicatedAdapterMemory 7, …, IsHardware 11, IsIntegrated 12
static size_t size_of(uint32_t property) {
    switch (property) {
        case 2: return sizeof DESCRIPTION;
        case 3: return 16;
        case 4: case 5: case 6: case 10: case 11: case 12: return 1;
        case 13: return 20;
        default: return 8;
    }
}
static HRESULT property_size(Object *self, uint32_t property, size_t *size) {
    (void)self;
    *size = size_of(property);
    return 0;
}
static HRESULT property(Object *self, uint32_t which, size_t size, void *data) {
    (void)self;
    static const uint32_t ids[4] = {0x1002, 0x73DF, 0, 0};
    static const uint64_t version = 32ull << 48 | 1, memory = 8ull << 30;
    if (size < size_of(which)) return E_INVALIDARG;
    memset(data, 0, size);
    switch (which) {
        case 1: memcpy(data, &version, 8); break;
        case 2: memcpy(data, DESCRIPTION, sizeof DESCRIPTION); break;
        case 3: memcpy(data, ids, sizeof ids); break;
        case 7: memcpy(data, &memory, 8); break;
        case 11: *(uint8_t *)data = 1; break;
    }
    return 0;
}
static uint8_t no(Object *self, uint32_t what) { (void)self; (void)what; return 0; }
static HRESULT refuse(Object *self) { (void)self; return DXGI_ERROR_UNSUPPORTED; }
static HRESULT get_factory(Object *self, const GUID *what, void **out) { (void)self; return query_interface(&factory, what, out); }

// --- IDXCoreAdapterList ---

static HRESULT get_adapter(Object *self, uint32_t index, const GUID *what, void **out) {
    (void)self;
    *out = NULL;
    return (long)index < wish("adapters=", 0) ? query_interface(&adapter, what, out) : E_INVALIDARG;
}
static uint32_t adapter_count(Object *self) { (void)self; return (uint32_t)wish("adapters=", 0); }
static uint8_t is_stale(Object *self) { (void)self; return 0; }
static HRESULT sort(Object *self, uint32_t count, const uint32_t *by) { (void)self; (void)count; (void)by; return 0; }

// --- IDXCoreAdapterFactory ---

static HRESULT create_list(Object *self, uint32_t count, const GUID *attributes, const GUID *what, void **out) {
    (void)self; (void)count; (void)attributes;
    return query_interface(&list, what, out);
}
static HRESULT by_luid(Object *self, const void *luid, const GUID *what, void **out) {
    (void)luid;
    return get_adapter(self, 0, what, out);
}

#define UNKNOWN (const void *)query_interface, (const void *)count_reference, (const void *)count_reference
static const void *const FACTORY[] = {UNKNOWN, create_list, by_luid, no, refuse, refuse};
static const void *const LIST[] = {UNKNOWN, get_adapter, adapter_count, is_stale, get_factory, sort, no};
static const void *const ADAPTER[] = {
    UNKNOWN, yes, knows_attribute, knows_property, property, property_size, no, refuse, no, refuse, get_factory,
};
static Object factory = {FACTORY}, list = {LIST}, adapter = {ADAPTER};

HRESULT DXCoreCreateAdapterFactory(const GUID *what, void **out) {
    HRESULT fault = (HRESULT)wish("factory=", 0);
    *out = NULL;
    return fault ? fault : query_interface(&factory, what, out);
}

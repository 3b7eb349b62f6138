// A stand-in for WSL's libd3d12.so: no device can be created with it. The names and their version are those that libdirectml.so
// and torch_directml_native ask for.
//
// DIRECTX_STAND_IN in the environment: `device=0x…` is the HRESULT of D3D12CreateDevice (E_FAIL without the word), `device=hang`
// has it never return, `probe=0` lets the question succeed whether a device could be created, and fails the creation only.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int32_t HRESULT;
#define E_FAIL ((HRESULT)0x80004005)
#define S_FALSE ((HRESULT)1)

HRESULT D3D12CreateDevice(void *adapter, int level, const void *what, void **out) {
    const char *all = getenv("DIRECTX_STAND_IN");
    const char *found = all ? strstr(all, "device=") : NULL;
    (void)adapter; (void)level; (void)what;
    if (out) *out = NULL;
    if (found && strncmp(found, "device=hang", 11) == 0) for (;;) pause();
    if (!out && all && strstr(all, "probe=0")) return S_FALSE;
    return found ? (HRESULT)strtol(found + 7, NULL, 0) : E_FAIL;
}

#define REFUSE(name) HRESULT name(void) { return E_FAIL; }
REFUSE(D3D12CreateRootSignatureDeserializer)
REFUSE(D3D12CreateVersionedRootSignatureDeserializer)
REFUSE(D3D12EnableExperimentalFeatures)
REFUSE(D3D12GetDebugInterface)
REFUSE(D3D12GetInterface)
REFUSE(D3D12SerializeRootSignature)
REFUSE(D3D12SerializeVersionedRootSignature)

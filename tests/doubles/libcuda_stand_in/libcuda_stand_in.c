/* A stand-in for NVIDIA's libcuda: three answers from the environment, and no GPU.
 *
 *   LIBCUDA_STAND_IN_VERSION   what cuDriverGetVersion says (13030); 0: nothing
 *   LIBCUDA_STAND_IN_INIT      what cuInit returns (0)
 *   LIBCUDA_STAND_IN_FAULT     crash or hang, in cuInit
 */
#include <stdlib.h>
#include <unistd.h>

const char libcuda_stand_in[] = "a stand-in, not NVIDIA's libcuda";

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text && *text ? atoi(text) : otherwise;
}

int cuDriverGetVersion(int *version) {
    *version = number("LIBCUDA_STAND_IN_VERSION", 13030);
    return *version ? 0 : 1;
}

int cuInit(unsigned flags) {
    const char *fault = getenv("LIBCUDA_STAND_IN_FAULT");
    (void)flags;
    if (fault && *fault == 'c')
        abort();
    if (fault && *fault == 'h')
        sleep(600);
    return number("LIBCUDA_STAND_IN_INIT", 0);
}

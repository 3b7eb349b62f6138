// Copyright (c) 2026, the colab-ready authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// A stand-in for /dev/dxg. Not a GPU, not a driver: a library for LD_PRELOAD that answers open, stat, ioctl and close
// on that one path from a description (DXG_STAND_IN), as Microsoft's dxgkrnl would, and writes down what a caller does
// wrong (DXG_STAND_IN_LOG, one line each; an empty log is a caller without fault). README.md says more.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "dxgkrnl runs on x86-64 and arm64");
_Static_assert(sizeof(void *) == 8, "dxgkrnl runs on x86-64 and arm64");

// --- what the device speaks: layouts and numbers ---------------------------------------------------------------------

struct luid { uint32_t low; int32_t high; };
struct adapter_info { uint32_t handle; struct luid luid; uint32_t sources; uint32_t flag; };
struct enum2 { uint32_t count; uint32_t reserved; uint64_t adapters; };
struct enum3 { uint64_t filter; uint32_t count; uint32_t reserved; uint64_t adapters; };
struct query { uint32_t adapter; uint32_t type; uint64_t data; uint32_t size; uint32_t padding; };

_Static_assert(sizeof(struct adapter_info) == 20 && offsetof(struct adapter_info, luid) == 4, "adapterinfo");
_Static_assert(offsetof(struct adapter_info, sources) == 12 && offsetof(struct adapter_info, flag) == 16, "adapterinfo");
_Static_assert(sizeof(struct enum2) == 16 && offsetof(struct enum2, adapters) == 8, "enumadapters2");
_Static_assert(sizeof(struct enum3) == 24 && offsetof(struct enum3, count) == 8, "enumadapters3");
_Static_assert(offsetof(struct enum3, reserved) == 12 && offsetof(struct enum3, adapters) == 16, "enumadapters3");
_Static_assert(sizeof(struct query) == 24 && offsetof(struct query, type) == 4, "queryadapterinfo");
_Static_assert(offsetof(struct query, data) == 8 && offsetof(struct query, size) == 16, "queryadapterinfo");

// Written out from the table of facts; that they are what _IOWR makes of the layouts above is checked here.
#define DX_QUERY 0xC0184709u
#define DX_ENUM2 0xC0104714u
#define DX_CLOSE 0xC0044715u
#define DX_ENUM3 0xC018473Eu
#define DX_NUMBER(nr, size) (3u << 30 | (uint32_t)(size) << 16 | 0x47u << 8 | (nr))
_Static_assert(DX_QUERY == DX_NUMBER(0x09, sizeof(struct query)), "LX_DXQUERYADAPTERINFO");
_Static_assert(DX_ENUM2 == DX_NUMBER(0x14, sizeof(struct enum2)), "LX_DXENUMADAPTERS2");
_Static_assert(DX_CLOSE == DX_NUMBER(0x15, sizeof(uint32_t)), "LX_DXCLOSEADAPTER");
_Static_assert(DX_ENUM3 == DX_NUMBER(0x3E, sizeof(struct enum3)), "LX_DXENUMADAPTERS3");

struct ids { uint32_t index, vendor, device, subvendor, subsystem, revision, bus_type; };
struct registry { uint16_t adapter[260], bios[260], dac[260], chip[260]; };
_Static_assert(sizeof(struct ids) == 28 && offsetof(struct ids, vendor) == 4, "PHYSICALADAPTERDEVICEIDS");
_Static_assert(sizeof(struct registry) == 2080 && offsetof(struct registry, bios) == 520, "ADAPTERREGISTRYINFO");
_Static_assert(offsetof(struct registry, dac) == 1040 && offsetof(struct registry, chip) == 1560, "ADAPTERREGISTRYINFO");

static const struct { uint32_t type, size; } SIZES[] = {
    {3, 24}, {6, 12}, {8, sizeof(struct registry)}, {13, 4}, {15, 4}, {18, 8}, {30, 4}, {31, sizeof(struct ids)}, {57, 4},
};

enum { ADAPTERS_MAX = 64, ENUM3_MAX = 0xFFFF, SIZE_MAX_QUERY = 128 * 1024 };
// Of the adapter type: what the kernel clears for a guest (display, post, indirect display, acg, set timings), what it
// sets (paravirtualized), and what newer kernels fill in themselves (compute only).
enum { TYPE_CLEARED = 1 << 1 | 1 << 3 | 1 << 6 | 1 << 8 | 1 << 9, TYPE_SET = 1 << 7, TYPE_COMPUTE_ONLY = 1 << 11 };

// --- the description -------------------------------------------------------------------------------------------------

struct answer { uint32_t type; int error; int status; uint8_t *data; size_t length; struct answer *next; };
struct adapter { struct luid luid; int compute_only; int zero_handle; struct answer *answers; };
enum operation { OPEN, COUNT2, FILL2, COUNT3, FILL3, QUERY, CLOSE, OPERATIONS };
enum action { ERROR, STATUS, HANG, CRASH };
struct fault { int operation, type, adapter; unsigned first, last, seen; int action, argument; };

enum { MAX_ADAPTERS = 256, MAX_FAULTS = 64, MAX_OPEN = 8, MAX_HANDLES = 4096 };

struct machine {
    char kind;  // 'c' a character device, 'r' a regular file, '-' nothing there
    unsigned major, minor;
    int has_enum3, hides_compute_only;
    long announced, returned;  // -1: the truth
    int adapters, faults;
    struct adapter adapter[MAX_ADAPTERS];
    struct fault fault[MAX_FAULTS];
};

struct handle { uint32_t value; int adapter; };
struct opened {
    int descriptor;
    pid_t pid;
    struct machine *machine;
    uint32_t told;  // by the last count, to judge a buffer by
    int handles;
    struct handle handle[MAX_HANDLES];
};

static const char *path = "/dev/dxg";
static char *text;  // the whole description, and where each machine begins in it
static size_t *begin;
static size_t machines;
static _Atomic uint64_t *opens;  // shared with copies by fork(): each open gets the next machine
static struct opened *opened[MAX_OPEN];
static uint32_t serial;
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        dprintf(2, "dxg stand-in: no %s to stand before\n", name);
        abort();
    }
    return found;
}

static void violation(const char *format, ...) {
    char line[512];
    int length = snprintf(line, sizeof line, "dxg stand-in: pid %d: ", (int)getpid());
    va_list arguments;
    va_start(arguments, format);
    length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2) length = (int)sizeof line - 2;
    line[length++] = '\n';
    const char *log = getenv("DXG_STAND_IN_LOG");
    int saved = errno;
    int out = log ? REAL(open)(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : 2;
    if (out < 0 || write(out, line, (size_t)length) != length) abort();
    if (out > 2) REAL(close)(out);
    errno = saved;
}

static __attribute__((noreturn)) void broken(const char *what, const char *line) {
    dprintf(2, "dxg stand-in: the description is broken: %s: %.80s\n", what, line);
    abort();
}

static void *allocate(size_t size) {
    void *memory = calloc(1, size ? size : 1);
    if (!memory) abort();
    return memory;
}

static int digit(char character) {
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    return -1;
}

static int is(const char *line, const char *word) { return strncmp(line, word, strlen(word)) == 0; }

// `at` is a line; the next one stands behind its null.
static struct machine *parse(const char *at) {
    struct machine *machine = allocate(sizeof *machine);
    *machine = (struct machine){.kind = 'c', .major = 10, .minor = 125, .has_enum3 = 1, .announced = -1, .returned = -1};
    struct adapter *adapter = NULL;
    for (; strcmp(at, "end") != 0; at += strlen(at) + 1) {
        if (is(at, "kind ")) {
            if (sscanf(at, "kind %c %u %u", &machine->kind, &machine->major, &machine->minor) != 3) broken("kind", at);
        } else if (is(at, "enum3 ")) {
            machine->has_enum3 = atoi(at + 6);
        } else if (is(at, "hides_compute_only ")) {
            machine->hides_compute_only = atoi(at + 19);
        } else if (is(at, "announced ")) {
            machine->announced = atol(at + 10);
        } else if (is(at, "returned ")) {
            machine->returned = atol(at + 9);
        } else if (is(at, "fault ")) {
            struct fault f = {0};
            if (machine->faults == MAX_FAULTS) broken("too many faults", at);
            if (sscanf(at, "fault %d %d %d %u %u %d %d", &f.operation, &f.type, &f.adapter, &f.first, &f.last, &f.action,
                       &f.argument) != 7)
                broken("fault", at);
            machine->fault[machine->faults++] = f;
        } else if (is(at, "adapter ")) {
            if (machine->adapters == MAX_ADAPTERS) broken("too many adapters", at);
            adapter = &machine->adapter[machine->adapters++];
            if (sscanf(at, "adapter %u %d %d %d", &adapter->luid.low, &adapter->luid.high, &adapter->compute_only,
                       &adapter->zero_handle) != 4)
                broken("adapter", at);
        } else if (is(at, "answer ") && adapter) {
            struct answer *a = allocate(sizeof *a);
            char *digits;
            a->type = (uint32_t)strtoul(at + 7, &digits, 10);
            a->error = (int)strtol(digits, &digits, 10);
            a->status = (int)strtol(digits, &digits, 10);
            if (*digits++ != ' ') broken("answer", at);
            a->length = strlen(digits) / 2;
            a->data = allocate(a->length);
            for (size_t i = 0; i < a->length; i++) {
                int high = digit(digits[2 * i]), low = digit(digits[2 * i + 1]);
                if (high < 0 || low < 0) broken("bad digits", at);
                a->data[i] = (uint8_t)(high << 4 | low);
            }
            a->next = adapter->answers;
            adapter->answers = a;
        } else {
            broken("not understood", at);
        }
    }
    return machine;
}

static void forget(struct machine *machine) {
    for (int i = 0; i < machine->adapters; i++)
        for (struct answer *a = machine->adapter[i].answers, *next; a; a = next) {
            next = a->next;
            free(a->data);
            free(a);
        }
    free(machine);
}

static struct machine *current(int advance) {
    uint64_t index = advance ? (*opens)++ : *opens;
    return parse(text + begin[index % machines]);
}

__attribute__((constructor)) static void start(void) {
    const char *description = getenv("DXG_STAND_IN");
    if (getenv("DXG_STAND_IN_PATH")) path = strdup(getenv("DXG_STAND_IN_PATH"));
    if (!description) return;
    int in = REAL(open)(description, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (in < 0 || REAL(fstat)(in, &info)) broken("cannot be opened", description);
    text = allocate((size_t)info.st_size + 1);
    for (off_t have = 0; have < info.st_size;) {
        ssize_t got = read(in, text + have, (size_t)(info.st_size - have));
        if (got <= 0) broken("cannot be read", description);
        have += got;
    }
    REAL(close)(in);
    size_t room = 0;
    for (char *at = text, *stop; (stop = strchr(at, '\n')); at = stop + 1) {
        *stop = '\0';
        if (strcmp(at, "machine") != 0) continue;
        if (machines == room) {
            room = room ? room * 2 : 16;
            begin = realloc(begin, room * sizeof *begin);
            if (!begin) abort();
        }
        begin[machines++] = (size_t)(stop + 1 - text);
    }
    if (!machines) broken("no machine", description);
    opens = mmap(NULL, sizeof *opens, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (opens == MAP_FAILED) abort();
}

// --- the caller's memory, with the kernel's eyes ---------------------------------------------------------------------

static int copy(void *ours, uint64_t theirs, size_t size, int out, const char *what) {
    struct iovec here = {ours, size}, there = {(void *)(uintptr_t)theirs, size};
    ssize_t done = out ? process_vm_writev(getpid(), &here, 1, &there, 1, 0)
                       : process_vm_readv(getpid(), &here, 1, &there, 1, 0);
    if (done == (ssize_t)size) return 0;
    if (done < 0 && errno != EFAULT) violation("the stand-in itself cannot check memory: %s", strerror(errno));
    else violation("%s is not memory that can be %s", what, out ? "written" : "read");
    // Not EFAULT: the kernel says EINVAL for all that it cannot copy.
    return -EINVAL;
}

// --- the calls -------------------------------------------------------------------------------------------------------

static int faulted(struct opened *o, enum operation operation, int type, int adapter, int *result) {
    for (int i = 0; i < o->machine->faults; i++) {
        struct fault *f = &o->machine->fault[i];
        if (f->operation != (int)operation || (f->type >= 0 && f->type != type)) continue;
        if (f->adapter >= 0 && f->adapter != adapter) continue;
        f->seen++;
        if (f->seen < f->first || (f->last && f->seen > f->last)) continue;
        switch (f->action) {
        case ERROR: *result = -f->argument; return 1;
        case STATUS: *result = f->argument; return 1;
        case HANG: pthread_mutex_unlock(&lock); for (;;) pause();
        case CRASH: signal(SIGSEGV, SIG_DFL); raise(SIGSEGV);
        }
    }
    return 0;
}

static uint32_t new_handle(struct opened *o, int adapter) {
    if (o->handles == MAX_HANDLES) abort();
    uint32_t value = 0x40000000u | (++serial & 0xFFFFFF) << 6 | 1;
    o->handle[o->handles++] = (struct handle){value, adapter};
    return value;
}

static int find_handle(struct opened *o, uint32_t value) {
    for (int i = 0; i < o->handles; i++)
        if (o->handle[i].value == value) return i;
    return -1;
}

static uint32_t fill(struct opened *o, struct adapter_info *out, uint32_t room, int hide) {
    uint32_t count = 0;
    for (int i = 0; i < o->machine->adapters && count < room; i++) {
        struct adapter *adapter = &o->machine->adapter[i];
        if (hide && adapter->compute_only) continue;
        out[count].luid = adapter->luid;
        out[count].sources = 1;
        out[count++].handle = adapter->zero_handle ? 0 : new_handle(o, i);
    }
    return count;
}

static uint32_t lie(long claim, uint32_t truth) { return claim < 0 ? truth : (uint32_t)claim; }

static int enumerate(struct opened *o, uint64_t pointer, int third) {
    struct enum2 two;
    struct enum3 three;
    int result = third ? copy(&three, pointer, sizeof three, 0, "enumadapters3")
                       : copy(&two, pointer, sizeof two, 0, "enumadapters2");
    if (result) return result;
    uint32_t count = third ? three.count : two.count, total = (uint32_t)o->machine->adapters;
    uint64_t list = third ? three.adapters : two.adapters;
    if (third ? three.reserved : two.reserved) violation("reserved is not zero in enumadapters%d", third ? 3 : 2);
    if (third && three.filter & ~3ull) violation("enumadapters3 has filter bits that nobody knows");
    int counting = !list || (third && !count);
    if (faulted(o, (third ? COUNT3 : COUNT2) + !counting, -1, -1, &result) && result < 0) return result;
    int status = result;
    uint64_t where = pointer + (third ? offsetof(struct enum3, count) : offsetof(struct enum2, count));
    if (counting) {
        // All of them, also those that it will hide.
        o->told = lie(o->machine->announced, total);
        result = copy(&o->told, where, sizeof o->told, 1, "the count");
        return result ? result : status;
    }
    if (count > (third ? ENUM3_MAX : ADAPTERS_MAX)) {
        violation("room for %u adapters; the kernel refuses more than %d", count, third ? ENUM3_MAX : ADAPTERS_MAX);
        return -EINVAL;
    }
    if (count < o->told) violation("room for %u adapters after %u were announced", count, o->told);
    int hide = o->machine->hides_compute_only && !(third && three.filter & 1);
    if (count < total) {
        if (!third) return -EOVERFLOW;
        // Kernels seen so far write past the end of their own list here.
        if (count < ADAPTERS_MAX) violation("room for %u of %u adapters breaks the kernel", count, total);
        result = copy(&total, where, sizeof total, 1, "the count");
        return result ? result : status;
    }
    struct adapter_info *found = allocate(sizeof *found * count);
    int before = o->handles;
    uint32_t filled = fill(o, found, count, hide), said = lie(o->machine->returned, filled);
    result = copy(&said, where, sizeof said, 1, "the count");
    if (!result && filled) result = copy(found, list, sizeof *found * filled, 1, "the list of adapters");
    free(found);
    if (result) o->handles = before;
    return result ? result : status;
}

static int ask(struct opened *o, uint64_t pointer) {
    struct query query;
    int result = copy(&query, pointer, sizeof query, 0, "queryadapterinfo");
    if (result) return result;
    if (query.padding) violation("the padding of queryadapterinfo is not zero");
    if (query.size == 0 || query.size > SIZE_MAX_QUERY) {
        violation("query %u for %u bytes", query.type, query.size);
        return -EINVAL;
    }
    int handle = find_handle(o, query.adapter);
    if (handle < 0) {
        violation("query %u of a handle %x that nobody was given", query.type, query.adapter);
        return -EINVAL;
    }
    int number = o->handle[handle].adapter;
    struct adapter *adapter = &o->machine->adapter[number];
    size_t size = 0;
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
        if (SIZES[i].type == query.type) size = SIZES[i].size;
    if (size != query.size) {
        violation("query %u for %u bytes instead of %zu", query.type, query.size, size);
        return -EINVAL;
    }
    uint8_t *data = allocate(size);
    result = copy(data, query.data, size, 0, "the buffer of a query");
    if (!result && query.type == 31 && memcmp(data, "\0\0\0\0", 4) != 0) violation("query 31 of another GPU than the first");
    int status = 0;
    if (!result && faulted(o, QUERY, (int)query.type, number, &status) && status < 0) result = status;
    struct answer *answer = adapter->answers;
    while (answer && answer->type != query.type) answer = answer->next;
    if (!result && !answer) result = -ENOENT;
    if (!result && answer->error) result = -answer->error;
    if (!result) {
        if (answer->status) status = answer->status;
        size_t keep = query.type == 31 ? 4 : 0;
        memset(data + keep, 0, size - keep);
        memcpy(data + keep, answer->data, answer->length < size - keep ? answer->length : size - keep);
        if (query.type == 15 || query.type == 57) {
            uint32_t bits;
            memcpy(&bits, data, sizeof bits);
            bits = (bits & ~(uint32_t)TYPE_CLEARED) | TYPE_SET;
            if (o->machine->hides_compute_only)
                bits = (bits & ~(uint32_t)TYPE_COMPUTE_ONLY) | (adapter->compute_only ? TYPE_COMPUTE_ONLY : 0);
            memcpy(data, &bits, sizeof bits);
        }
        result = copy(data, query.data, size, 1, "the buffer of a query");
    }
    free(data);
    return result ? result : status;
}

static int close_adapter(struct opened *o, uint64_t pointer) {
    uint32_t value;
    int result = copy(&value, pointer, sizeof value, 0, "closeadapter"), status = 0;
    if (result) return result;
    int handle = find_handle(o, value);
    if (handle < 0) {
        violation("close of a handle %x that nobody was given", value);
        return -EINVAL;
    }
    int fault = faulted(o, CLOSE, -1, o->handle[handle].adapter, &status);
    // Interrupted, it is still open. After any other error a caller can do no more about it.
    if (!(fault && status == -EINTR)) o->handle[handle] = o->handle[--o->handles];
    return status;
}

static int call(struct opened *o, unsigned long request, uint64_t pointer) {
    if (o->pid != getpid()) {
        violation("call from another process than the one that opened the device");
        return -ENOTTY;
    }
    switch (request) {
    case DX_ENUM3:
        return o->machine->has_enum3 ? enumerate(o, pointer, 1) : -ENOTTY;
    case DX_ENUM2:
        return enumerate(o, pointer, 0);
    case DX_QUERY:
        return ask(o, pointer);
    case DX_CLOSE:
        return close_adapter(o, pointer);
    default:
        violation("ioctl %lx, which is none of the device's that are known here", request);
        return -ENOTTY;
    }
}

// --- in place of the C library ---------------------------------------------------------------------------------------

static struct opened *find(int descriptor) {
    for (int i = 0; i < MAX_OPEN; i++)
        if (opened[i] && opened[i]->descriptor == descriptor) return opened[i];
    return NULL;
}

static int ours(const char *name) { return text && name && strcmp(name, path) == 0; }

static int open_device(int flags) {
    pthread_mutex_lock(&lock);
    struct machine *machine = current(1);
    struct opened probe = {.machine = machine};
    int result = 0, place = 0;
    if (machine->kind == '-') result = -ENOENT;
    else faulted(&probe, OPEN, -1, -1, &result);
    while (place < MAX_OPEN && opened[place]) place++;
    if (!result && place == MAX_OPEN) {
        violation("more than %d descriptors open at once", MAX_OPEN);
        result = -EMFILE;
    }
    if (!(flags & O_CLOEXEC)) violation("opened without O_CLOEXEC");
    if (!result) {
        result = REAL(open)("/dev/null", flags & ~(O_CREAT | O_EXCL | O_TRUNC));
        if (result < 0) result = -errno;
    }
    if (result < 0) {
        forget(machine);
        errno = -result;
        result = -1;
    } else {
        opened[place] = allocate(sizeof *opened[place]);
        opened[place]->descriptor = result;
        opened[place]->pid = getpid();
        opened[place]->machine = machine;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

#define OPEN_WITH(name, signature, ...)                                                                                \
    int name signature {                                                                                               \
        mode_t mode = 0;                                                                                               \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                                         \
            va_list arguments;                                                                                         \
            va_start(arguments, flags);                                                                                \
            mode = va_arg(arguments, mode_t);                                                                          \
            va_end(arguments);                                                                                         \
        }                                                                                                              \
        return ours(name_) ? open_device(flags) : REAL(name)(__VA_ARGS__, mode);                                       \
    }

OPEN_WITH(open, (const char *name_, int flags, ...), name_, flags)
OPEN_WITH(open64, (const char *name_, int flags, ...), name_, flags)
OPEN_WITH(openat, (int folder, const char *name_, int flags, ...), folder, name_, flags)
OPEN_WITH(openat64, (int folder, const char *name_, int flags, ...), folder, name_, flags)

// What a caller that was compiled with _FORTIFY_SOURCE calls.
int __open_2(const char *name, int flags);
int __open64_2(const char *name, int flags);
int __openat_2(int folder, const char *name, int flags);
int __openat64_2(int folder, const char *name, int flags);
int __open_2(const char *name, int flags) { return open(name, flags); }
int __open64_2(const char *name, int flags) { return open64(name, flags); }
int __openat_2(int folder, const char *name, int flags) { return openat(folder, name, flags); }
int __openat64_2(int folder, const char *name, int flags) { return openat64(folder, name, flags); }

int ioctl(int descriptor, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void *pointer = va_arg(arguments, void *);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    struct opened *o = find(descriptor);
    // Python hands the number over as an int: what stands above 32 bits is its sign.
    int result = o ? call(o, request & 0xFFFFFFFFul, (uint64_t)(uintptr_t)pointer) : 0;
    pthread_mutex_unlock(&lock);
    if (!o) return ((int (*)(int, unsigned long, ...))real("ioctl"))(descriptor, request, pointer);
    if (result >= 0) return result;
    errno = -result;
    return -1;
}

int close(int descriptor) {
    pthread_mutex_lock(&lock);
    struct opened *o = find(descriptor);
    if (o) {
        if (o->pid == getpid() && o->handles)
            violation("closed with %d handles of adapters open, the first is %x", o->handles, o->handle[0].value);
        for (int i = 0; i < MAX_OPEN; i++)
            if (opened[i] == o) opened[i] = NULL;
        forget(o->machine);
        free(o);
    }
    pthread_mutex_unlock(&lock);
    return REAL(close)(descriptor);
}

static void at_exit(void) {
    for (int i = 0; i < MAX_OPEN; i++)
        if (opened[i] && opened[i]->pid == getpid())
            violation("ended with the device open and %d handles of adapters", opened[i]->handles);
}

__attribute__((destructor)) static void stop(void) { at_exit(); }

void _exit(int status) {
    at_exit();
    ((void (*)(int))real("_exit"))(status);
    abort();
}

void _Exit(int status) { _exit(status); }

static int describe(struct machine *machine, struct stat *out) {
    memset(out, 0, sizeof *out);
    out->st_mode = (machine->kind == 'c' ? S_IFCHR : S_IFREG) | 0666;
    if (machine->kind == 'c') out->st_rdev = makedev(machine->major, machine->minor);
    out->st_nlink = 1;
    out->st_blksize = 4096;
    return 0;
}

static int look(struct stat *out) {
    pthread_mutex_lock(&lock);
    struct machine *machine = current(0);
    int result = machine->kind == '-' ? -1 : describe(machine, out);
    forget(machine);
    pthread_mutex_unlock(&lock);
    if (result) errno = ENOENT;
    return result;
}

static int look_at(int descriptor, struct stat *out) {
    pthread_mutex_lock(&lock);
    struct opened *o = find(descriptor);
    int result = o ? describe(o->machine, out) : 1;
    pthread_mutex_unlock(&lock);
    return result;
}

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "the same on 64 bits");
#define AS_STAT(out) ((struct stat *)(void *)(out))

int stat(const char *name, struct stat *out) { return ours(name) ? look(out) : REAL(stat)(name, out); }
int lstat(const char *name, struct stat *out) { return ours(name) ? look(out) : REAL(lstat)(name, out); }
int stat64(const char *name, struct stat64 *out) { return ours(name) ? look(AS_STAT(out)) : REAL(stat64)(name, out); }
int lstat64(const char *name, struct stat64 *out) { return ours(name) ? look(AS_STAT(out)) : REAL(lstat64)(name, out); }
int fstatat(int folder, const char *name, struct stat *out, int flags) {
    return ours(name) ? look(out) : REAL(fstatat)(folder, name, out, flags);
}
int fstatat64(int folder, const char *name, struct stat64 *out, int flags) {
    return ours(name) ? look(AS_STAT(out)) : REAL(fstatat64)(folder, name, out, flags);
}
int fstat(int descriptor, struct stat *out) {
    int done = look_at(descriptor, out);
    return done > 0 ? REAL(fstat)(descriptor, out) : done;
}
int fstat64(int descriptor, struct stat64 *out) {
    int done = look_at(descriptor, AS_STAT(out));
    return done > 0 ? REAL(fstat64)(descriptor, out) : done;
}
int access(const char *name, int mode) {
    struct stat info;
    return ours(name) ? look(&info) : REAL(access)(name, mode);
}

/* A stand-in for the driver's libcuda.so.1: it shows invented cards, and captures and launches by way of whoever has
   registered (the stand-in of pycuda). The environment says what it shows:

   STANDIN_CUDA_INIT   what cuInit answers, 0 by default; "hang" never comes back
   STANDIN_CUDA_CARDS  how many cards, 1 by default
   STANDIN_CUDA_NAME   "Stand-in 9000" by default
   STANDIN_CUDA_SMS, STANDIN_CUDA_MIB   multiprocessors and memory
   STANDIN_NO_CAPTURE  what cuStreamEndCapture answers
   STANDIN_NO_LAUNCH   what cuGraphLaunch answers */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number(const char *name, int otherwise) {
    const char *said = getenv(name);
    return said ? atoi(said) : otherwise;
}

int cuInit(unsigned int flags) {
    const char *said = getenv("STANDIN_CUDA_INIT");
    (void)flags;
    while (said && strcmp(said, "hang") == 0) sleep(1000);
    return number("STANDIN_CUDA_INIT", 0);
}

int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuDeviceGetCount(int *count) { *count = number("STANDIN_CUDA_CARDS", 1); return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }

int cuDeviceGetName(char *name, int length, int device) {
    const char *said = getenv("STANDIN_CUDA_NAME");
    (void)device;
    snprintf(name, length, "%s", said ? said : "Stand-in 9000");
    return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    (void)device;
    *bytes = (size_t)number("STANDIN_CUDA_MIB", 81920) << 20;
    return 0;
}

int cuDeviceGetUuid(unsigned char *uuid, int device) {
    for (int at = 0; at < 16; at++) uuid[at] = (unsigned char)(device + at);
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    if (attribute == 16) *value = number("STANDIN_CUDA_SMS", 132);
    else if (attribute == 75) *value = 9;
    else if (attribute == 76) *value = 0;
    else return 1;
    return 0;
}

static void (*began)(intptr_t stream);
static intptr_t (*ended)(intptr_t stream);
static int (*launched)(intptr_t graph, intptr_t stream);
static void (*destroyed)(intptr_t graph);

void standin_register(void (*on_begin)(intptr_t), intptr_t (*on_end)(intptr_t), int (*on_launch)(intptr_t, intptr_t),
                      void (*on_destroy)(intptr_t)) {
    destroyed = on_destroy;
    began = on_begin;
    ended = on_end;
    launched = on_launch;
}

int cuStreamBeginCapture_v2(void *stream, int mode) {
    if (!began || !stream || mode < 0 || mode > 2) return 1;
    began((intptr_t)stream);
    return 0;
}

int cuStreamEndCapture(void *stream, void **graph) {
    intptr_t number_of_graph = ended ? ended((intptr_t)stream) : 0;
    int refused = number("STANDIN_NO_CAPTURE", 0);
    *graph = (void *)(refused ? 0 : number_of_graph);
    return refused ? refused : (number_of_graph ? 0 : 901);
}

int cuGraphInstantiateWithFlags(void **ready, void *graph, unsigned long long flags) {
    *ready = graph;
    return flags == 0 && graph ? 0 : 1;
}

int cuGraphUpload(void *ready, void *stream) { return ready && stream ? 0 : 1; }
int cuGraphExecDestroy(void *ready) { return ready ? 0 : 1; }

int cuGraphDestroy(void *graph) {
    if (!graph) return 1;
    destroyed((intptr_t)graph);
    return 0;
}

int cuGraphLaunch(void *ready, void *stream) {
    int refused = number("STANDIN_NO_LAUNCH", 0);
    return refused ? refused : launched((intptr_t)ready, (intptr_t)stream);
}

/* Memory of the card is memory of this process, and copies are done at once. */
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)(intptr_t)(device + 1); return 0; }
int cuCtxSetCurrent(void *context) { return context ? 0 : 201; }
int cuStreamCreate(void **stream, unsigned int flags) { *stream = (void *)(intptr_t)(flags + 1); return 0; }
int cuStreamSynchronize(void *stream) { return stream ? 0 : 400; }
int cuMemAllocHost_v2(void **place, size_t bytes) { *place = calloc(1, bytes); return *place ? 0 : 2; }
int cuMemAlloc_v2(uint64_t *place, size_t bytes) { *place = (uint64_t)(uintptr_t)calloc(1, bytes); return *place ? 0 : 2; }

int cuMemcpyHtoDAsync_v2(uint64_t target, const void *source, size_t bytes, void *stream) {
    memcpy((void *)(uintptr_t)target, source, bytes);
    return stream ? 0 : 400;
}

int cuMemcpyDtoHAsync_v2(void *target, uint64_t source, size_t bytes, void *stream) {
    memcpy(target, (const void *)(uintptr_t)source, bytes);
    return stream ? 0 : 400;
}

int cuMemcpyDtoDAsync_v2(uint64_t target, uint64_t source, size_t bytes, void *stream) {
    memcpy((void *)(uintptr_t)target, (const void *)(uintptr_t)source, bytes);
    return stream ? 0 : 400;
}

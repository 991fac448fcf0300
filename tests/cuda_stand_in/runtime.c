/* A CUDA runtime without a device: one that is there, has all the memory that it is asked for
   and has always done already what it is told. With it PyTorch sets itself up for a GPU, and
   tensors without values can go forward and back on it. */
#include <stdlib.h>
#include <string.h>

typedef void *handle;
static __thread int current;
static long made = 0x1000;

static int new_handle(handle *one) {
    *one = (handle)(made += 16);
    return 0;
}

int cudaGetDeviceCount(int *n) { *n = 1; return 0; }
int cudaGetDevice(int *device) { *device = current; return 0; }
int cudaSetDevice(int device) { current = device; return 0; }
int cudaDriverGetVersion(int *version) { *version = 13000; return 0; }
int cudaRuntimeGetVersion(int *version) { *version = 13000; return 0; }
int cudaDeviceGetAttribute(int *value, int what, int device) { *value = 9; return 0; }
int cudaDeviceGetStreamPriorityRange(int *low, int *high) { *low = 0; *high = -5; return 0; }
int cudaStreamCreateWithPriority(handle *one, unsigned flags, int priority) { return new_handle(one); }
int cudaEventCreateWithFlags(handle *one, unsigned flags) { return new_handle(one); }
int cudaStreamIsCapturing(handle stream, int *status) { *status = 0; return 0; }
int cudaMalloc(handle *one, size_t size) { *one = calloc(1, size + 64); return 0; }
int cudaMemGetInfo(size_t *left, size_t *all) { *left = *all = 80ull << 30; return 0; }
const char *cudaGetErrorName(int error) { return "no error"; }
const char *cudaGetErrorString(int error) { return "no error"; }

/* Its numbers, some hundred of them, are all the same; before them stands the name. */
int cudaGetDeviceProperties(char *of, int device) {
    for (int at = 0; at < 252; at++) ((int *)of)[at] = 32;
    strcpy(of, "a stand-in");
    return 0;
}

#define DONE(name) int name(void) { return 0; }
DONE(cudaDeviceCanAccessPeer) DONE(cudaDeviceEnablePeerAccess) DONE(cudaDeviceGetDefaultMemPool)
DONE(cudaDeviceGetGraphMemAttribute) DONE(cudaDeviceGetPCIBusId)
DONE(cudaDeviceSetGraphMemAttribute) DONE(cudaDeviceSynchronize) DONE(cudaEventCreate)
DONE(cudaEventDestroy) DONE(cudaEventElapsedTime) DONE(cudaEventQuery) DONE(cudaEventRecord)
DONE(cudaEventRecordWithFlags) DONE(cudaEventSynchronize) DONE(cudaFree) DONE(cudaFreeAsync)
DONE(cudaFreeHost) DONE(cudaFuncGetAttributes) DONE(cudaFuncSetAttribute)
DONE(cudaGetDriverEntryPointByVersion) DONE(cudaGetLastError) DONE(cudaGetSymbolAddress)
DONE(cudaGraphAddNode) DONE(cudaGraphConditionalHandleCreate) DONE(cudaGraphDestroy)
DONE(cudaGraphExecDestroy) DONE(cudaGraphGetNodes) DONE(cudaGraphInstantiateWithFlags)
DONE(cudaGraphLaunch) DONE(cudaGraphNodeGetDependencies) DONE(cudaGraphRetainUserObject)
DONE(cudaHostAlloc) DONE(cudaHostRegister) DONE(cudaHostUnregister) DONE(cudaIpcCloseMemHandle)
DONE(cudaIpcGetEventHandle) DONE(cudaIpcGetMemHandle) DONE(cudaIpcOpenEventHandle)
DONE(cudaIpcOpenMemHandle) DONE(cudaKernelSetAttributeForDevice) DONE(cudaLaunchHostFunc)
DONE(cudaLaunchKernel) DONE(cudaLaunchKernelExC) DONE(cudaLibraryGetKernel)
DONE(cudaLibraryLoadData) DONE(cudaLibraryUnload) DONE(cudaMallocAsync)
DONE(cudaMemPoolGetAttribute) DONE(cudaMemPoolSetAccess) DONE(cudaMemPoolSetAttribute)
DONE(cudaMemPoolTrimTo) DONE(cudaMemcpy) DONE(cudaMemcpyAsync) DONE(cudaMemcpyPeerAsync)
DONE(cudaMemcpyToSymbol) DONE(cudaMemset) DONE(cudaMemsetAsync)
DONE(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags) DONE(cudaPeekAtLastError)
DONE(cudaPointerGetAttributes) DONE(cudaProfilerStart) DONE(cudaProfilerStop)
DONE(cudaStreamAddCallback) DONE(cudaStreamBeginCapture) DONE(cudaStreamBeginCaptureToGraph)
DONE(cudaStreamCreate) DONE(cudaStreamCreateWithFlags) DONE(cudaStreamDestroy)
DONE(cudaStreamEndCapture) DONE(cudaStreamGetCaptureInfo) DONE(cudaStreamGetPriority)
DONE(cudaStreamQuery) DONE(cudaStreamSynchronize) DONE(cudaStreamUpdateCaptureDependencies)
DONE(cudaStreamWaitEvent) DONE(cudaThreadExchangeStreamCaptureMode) DONE(cudaUserObjectCreate)
DONE(cudaUserObjectRelease)

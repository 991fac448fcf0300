/* A CUDA driver beneath runtime.c: one context, which is always the current one. */
typedef void *handle;
static handle context = (handle)0x10;

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    *flags = 0;
    *active = 1;
    return 0;
}
int cuDevicePrimaryCtxRetain(handle *one, int device) { *one = context; return 0; }
int cuCtxGetCurrent(handle *one) { *one = context; return 0; }
int cuDeviceGet(int *device, int number) { *device = number; return 0; }
int cuDeviceGetAttribute(int *value, int what, int device) { *value = 1; return 0; }
int cuGetErrorString(int error, const char **text) { *text = "no error"; return 0; }

#define DONE(name) int name(void) { return 0; }
DONE(cuCtxSetCurrent) DONE(cuFuncGetAttribute) DONE(cuFuncSetAttribute) DONE(cuFuncSetCacheConfig)
DONE(cuLaunchCooperativeKernel) DONE(cuLaunchKernel) DONE(cuLinkAddData_v2) DONE(cuLinkComplete)
DONE(cuLinkCreate_v2) DONE(cuModuleGetFunction) DONE(cuModuleLoad) DONE(cuModuleLoadData)
DONE(cuModuleLoadDataEx) DONE(cuModuleUnload) DONE(cuOccupancyMaxActiveBlocksPerMultiprocessor)
DONE(cuPointerGetAttribute) DONE(cuTensorMapEncodeTiled)

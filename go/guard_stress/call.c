#include "_cgo_export.h"

void torture_call(void *function, void *data) { ((void (*)(void *))function)(data); }

#include "root.h"

extern "C" int bindings_version(void)
{
	return 1;
}

extern "C" int last(void)
{
	return 3;
}

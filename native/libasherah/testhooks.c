/* The functions that stresses call beside Run. The published library has none of them, so these
 * are the control's, in C. */
#define Run RunOfControl
#include "../c_fixture/c_fixture.c"

/* What stresses ask of a fixture beside Run. The published library has none of it, so that it is the
 * control's, in C. */
#define Run RunOfControl
#include "../c_fixture/c_fixture.c"

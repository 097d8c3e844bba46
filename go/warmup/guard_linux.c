/* The signal guard is part of this library: this file compiles the same sources again. */
#include "../../native/guard/core.c"
#include "../../native/guard/entry.c"
#include "../../native/guard/frame.c"
#include "../../native/guard/guard.c"
#include "../../native/guard/hook.c"
#include "../../native/guard/send.c"
#include "../../native/guard/share.c"
#include "../../native/guard/slots.c"
#include "../../native/guard/stacks.c"
#include "../../native/guard/wait.c"

#include "../../native/guard_autoinstall/constructor.c"

// Suspends a thread again and again as JavaScriptCore does, by a handler that refuses unless it runs
// on the thread's own stack, while other signals use the alternate stack. The handler under test is
// the one of the patch. Says how often the thread was stopped and how often it refused.
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <wtf/Threading.h>
#include <wtf/WTFConfig.h>

extern "C" void Bun__installSuspendHandler();

WTFConfig g_wtfConfig { SIGPWR };

static WTF::Thread victim;
static pthread_t victimHandle;
static sem_t answered;
static ucontext_t* _Atomic registers = nullptr;
static _Atomic(bool) suspended = false;
static _Atomic(bool) running = true;
static _Atomic(long) others = 0;
static long stopped, refused, wrong, limit;

static void suspendHandler(int, siginfo_t*, void* context)
{
    if (suspended)
        return;
    if (!victim.stack().contains(__builtin_frame_address(0))) {
        registers = nullptr;
        sem_post(&answered);
        return;
    }
    registers = static_cast<ucontext_t*>(context);
    sem_post(&answered);
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, g_wtfConfig.sigThreadSuspendResume);
    sigsuspend(&all);
    registers = nullptr;
    sem_post(&answered);
}

static void await()
{
    while (sem_wait(&answered) && errno == EINTR) { }
}

// Another library's handler: uses the alternate stack from wherever the kernel starts it.
static void otherHandler(int)
{
    volatile unsigned char mine[16384];
    memset(const_cast<unsigned char*>(mine), 0xa5, sizeof mine);
    others++;
}

static uintptr_t stackPointer(ucontext_t* context)
{
#ifdef __x86_64__
    return context->uc_mcontext.gregs[REG_RSP];
#else
    return context->uc_mcontext.sp;
#endif
}

static void stopOnce()
{
    pthread_kill(victimHandle, g_wtfConfig.sigThreadSuspendResume);
    await();
    ucontext_t* seen = registers;
    if (!seen) {
        refused++;
        return;
    }
    ucontext_t before = *seen;
    suspended = true;
    if (!victim.stack().contains(reinterpret_cast<void*>(stackPointer(seen))))
        wrong++;
    timespec moment { 0, 20000 };
    nanosleep(&moment, nullptr);
    if (memcmp(&before.uc_mcontext, &seen->uc_mcontext, sizeof before.uc_mcontext - 256))
        wrong++;
    pthread_kill(victimHandle, g_wtfConfig.sigThreadSuspendResume);
    await();
    suspended = false;
    stopped++;
}

static void* suspender(void* rounds)
{
    const long wanted = reinterpret_cast<long>(rounds);
    while (stopped < wanted && refused < limit) {
        stopOnce();
        sched_yield();
    }
    running = false;
    return nullptr;
}

static void* disturber(void*)
{
    timespec moment { 0, 200000 };
    while (running) {
        pthread_kill(victimHandle, SIGURG);
        nanosleep(&moment, nullptr);
    }
    return nullptr;
}

// Work whose result shows whether registers or the stack were disturbed.
static double work(double start)
{
    volatile uint64_t words[64];
    double sum = start;
    uint64_t mixed = 1;
    for (int round = 0; round < 2000; round++) {
        for (int at = 0; at < 64; at++)
            words[at] = mixed = mixed * 6364136223846793005u + 1442695040888963407u;
        for (int at = 0; at < 64; at++)
            sum += static_cast<double>(words[at] >> 40) * 0.5;
    }
    return sum;
}

static void busy()
{
    const double expected = work(1);
    do {
        if (work(1) != expected) {
            wrong++;
            return;
        }
    } while (running);
}

static ucontext_t home, away;
static unsigned char* small;
static const size_t smallSize = 16384;

// How much of the small stack was never written to.
static size_t untouched()
{
    size_t count = 0;
    while (count < smallSize && small[count] == 0x5a)
        count++;
    return count;
}

static void runOnSmallStack()
{
    getcontext(&away);
    away.uc_stack.ss_sp = small;
    away.uc_stack.ss_size = smallSize;
    away.uc_link = &home;
    makecontext(&away, busy, 0);
    swapcontext(&home, &away);
}

int main(int argc, char** argv)
{
    const char* what = argc > 1 ? argv[1] : "own";
    const long rounds = argc > 2 ? atol(argv[2]) : 2000;
    const bool patched = argc <= 3;
    limit = !strcmp(what, "goroutine") ? rounds : patched ? 10000 * rounds : 10 * rounds;
    sem_init(&answered, 0, 0);
    victim.adopt();
    victimHandle = pthread_self();

    stack_t alternate {};
    alternate.ss_size = 256 * 1024;
    alternate.ss_sp = malloc(alternate.ss_size);
    if (strcmp(what, "none"))
        sigaltstack(&alternate, nullptr);

    struct sigaction action {};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, g_wtfConfig.sigThreadSuspendResume);
    action.sa_sigaction = suspendHandler;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigaction(g_wtfConfig.sigThreadSuspendResume, &action, nullptr);
    if (patched)
        Bun__installSuspendHandler();

    // What Go does to every handler it finds.
    sigaction(g_wtfConfig.sigThreadSuspendResume, nullptr, &action);
    action.sa_flags |= SA_ONSTACK;
    sigaction(g_wtfConfig.sigThreadSuspendResume, &action, nullptr);

    struct sigaction other {};
    other.sa_handler = otherHandler;
    other.sa_flags = SA_ONSTACK | SA_RESTART;
    sigaction(SIGURG, &other, nullptr);

    // A stack as small as a goroutine's: nothing but its own code may use it.
    size_t before = 0;
    if (!strcmp(what, "goroutine")) {
        small = static_cast<unsigned char*>(mmap(nullptr, smallSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        memset(small, 0x5a, smallSize);
        running = false;
        runOnSmallStack();
        running = true;
        before = untouched();
    }

    pthread_t threads[2];
    pthread_create(&threads[0], nullptr, suspender, reinterpret_cast<void*>(rounds));
    pthread_create(&threads[1], nullptr, disturber, nullptr);
    if (small) {
        runOnSmallStack();
        if (untouched() < before)
            wrong++;
    } else
        busy();
    for (pthread_t each : threads)
        pthread_join(each, nullptr);

    stack_t after;
    sigaltstack(nullptr, &after);
    if (strcmp(what, "none") && (after.ss_sp != alternate.ss_sp || after.ss_size != alternate.ss_size))
        wrong++;
    printf("stopped %ld refused %ld wrong %ld others %ld\n", stopped, refused, wrong, static_cast<long>(others));
    return wrong != 0;
}

// Makes threads as the patched pool does, while signals come in: the new thread has all of them
// blocked, gets its creator's mask back, and its creator has what it had before.
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

extern "C" void bun_block_signals_for_thread_creation(sigset_t* previous);
extern "C" void bun_restore_signals_after_thread_creation(const sigset_t* previous);

static sigset_t given;
static int wrong;

static bool isBlocked(int signal)
{
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, nullptr, &now);
    return sigismember(&now, signal) == 1;
}

static void expect(bool holds, const char* what)
{
    if (!holds) {
        printf("wrong: %s\n", what);
        wrong++;
    }
}

static void* worker(void*)
{
    expect(isBlocked(SIGURG) && isBlocked(SIGPWR), "a new thread has signals blocked");
    bun_restore_signals_after_thread_creation(&given);
    expect(!isBlocked(SIGURG) && !isBlocked(SIGPWR), "a thread that is set up takes signals");
    expect(isBlocked(SIGUSR2), "a thread keeps what its creator had blocked");
    return nullptr;
}

int main()
{
    sigset_t mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &mine, nullptr);

    bun_block_signals_for_thread_creation(&given);
    expect(isBlocked(SIGURG), "the creator has signals blocked meanwhile");
    pthread_t thread;
    pthread_create(&thread, nullptr, worker, nullptr);
    bun_restore_signals_after_thread_creation(&given);
    expect(!isBlocked(SIGURG) && isBlocked(SIGUSR2), "the creator has what it had before");
    pthread_join(thread, nullptr);
    printf("wrong %d\n", wrong);
    return wrong != 0;
}

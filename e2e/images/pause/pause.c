/* What holds a pod's namespaces: waits, and reaps what is orphaned. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void stop(int number) { _exit(number == 0); }

static void reap(int number) {
    (void)number;
    while (waitpid(-1, 0, WNOHANG) > 0) {
    }
}

int main(void) {
    struct sigaction stopping = {.sa_handler = stop};
    struct sigaction reaping = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
    sigaction(SIGINT, &stopping, 0);
    sigaction(SIGTERM, &stopping, 0);
    sigaction(SIGCHLD, &reaping, 0);
    for (;;) {
        pause();
    }
}

/* A resolver that never answers, and says on stderr that it was asked. For LD_PRELOAD. */
#include <netdb.h>
#include <unistd.h>

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found) {
    (void)node, (void)service, (void)hints, (void)found;
    static const char asked[] = "resolver: asked\n";
    if (write(STDERR_FILENO, asked, sizeof asked - 1) < 0) return EAI_SYSTEM;
    for (;;) pause();
}

// System calls that Swift cannot import; `HSAEPlatform` alone calls them.
#ifndef HSAE_PLATFORM_H
#define HSAE_PLATFORM_H

/// Processors this process may use: its affinity mask, which a container or `taskset` may narrow.
int hsae_processor_count(void);

#endif

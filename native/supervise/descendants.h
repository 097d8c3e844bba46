/* The processes below this one, found by their parents in /proc. Off Linux there are none to find:
 * only the command's process group is killed there. */
#ifndef DESCENDANTS_H
#define DESCENDANTS_H

/* Returns how many processes are below this one, or 0 while they cannot be more than `most`: it
 * looks only once the machine has many more tasks than it had. */
int descendants_if_many(int most);

/* Stops every descendant, until a look finds none that still moves, and then kills them all. A
 * process that is stopped starts no others, so this converges on a fork bomb where killing one by
 * one makes room for the next. */
void descendants_kill(void);

#endif

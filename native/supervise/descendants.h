/* The processes below this one, found by their parents in /proc. Outside Linux it finds none,
 * and only the command's process group is killed there. */
#ifndef DESCENDANTS_H
#define DESCENDANTS_H

/* Returns how many processes are below this one, or 0 while there cannot be more than `most`. It
 * scans only once the machine has many more tasks than before. */
int descendants_if_many(int most);

/* Stops every descendant until a scan finds none that still runs, and then kills all of them. A
 * stopped process starts no others. So this ends a fork bomb, where killing one process after
 * the other makes room for the next. */
void descendants_kill(void);

#endif

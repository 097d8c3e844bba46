/* The command's control groups, of version 2 or 1. The harness makes them and sets their limits.
 * Without groups every function here does nothing. */
#ifndef GROUP_H
#define GROUP_H

/* Adds a group's folder. The text must stay valid as long as the program runs. */
void group_add(const char *folder);

/* Moves the calling process into all groups; returns 0 or an errno. */
int group_enter(void);

/* Returns how many processes the groups hold, or -1 if there are no groups. */
int group_count(void);

/* Freezes the groups and kills everything in them. A frozen process starts no others. */
void group_kill(void);

/* Removes the groups, which must be empty. */
void group_remove(void);

#endif

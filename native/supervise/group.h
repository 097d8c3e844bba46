/* The control groups of the command, of version 2 or 1. The harness makes them, and sets their
 * limits; without any, every function here does nothing. */
#ifndef GROUP_H
#define GROUP_H

/* Names a group's folder. It must live as long as the program. */
void group_add(const char *folder);

/* Moves the calling process into all groups; returns 0 or an errno. */
int group_enter(void);

/* Returns how many processes the groups hold, or -1 where there are no groups. */
int group_count(void);

/* Freezes the groups and kills all that is in them; what is frozen starts no others. */
void group_kill(void);

/* Removes the groups, which have to be empty. */
void group_remove(void);

#endif

/* Free small blocks that a thread keeps for itself, so that most calls take no lock. */
#ifndef TM_CACHE_H
#define TM_CACHE_H

/* A block of the class; NULL when refused. */
void *tm_cache_take(unsigned class);

void tm_cache_give(unsigned class, void *block);

/* A block that this thread has cached, or NULL. */
void *tm_cache_pop(unsigned class);

/* Gives back what this thread has cached, and has the other threads do so when they next run out
 * of blocks or room. */
void tm_cache_flush(void);

#endif

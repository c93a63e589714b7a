// What the threads of one operation share. ggml runs all of them on the same node, and waits for all
// before the next, so a counter that the last thread resets is enough.
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define PKV_PAUSE() _mm_pause()
#else
#define PKV_PAUSE() __asm__ volatile("yield")
#endif

typedef struct {
  atomic_uint arrived; // grows by nth a barrier
  atomic_uint next;    // first unit of work that nobody has taken
  atomic_uint left;    // threads that are done
  uint32_t unused;
} pkv_sync;

static inline void pkv_barrier(pkv_sync *s, unsigned nth) {
  if (nth == 1) return;
  const unsigned goal = (atomic_fetch_add(&s->arrived, 1) / nth + 1) * nth;
  while ((int)(atomic_load_explicit(&s->arrived, memory_order_acquire) - goal) < 0) PKV_PAUSE();
}

static inline int pkv_take(pkv_sync *s) { return (int)atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed); }

// Called by each thread once, at its end: the last one makes the counters ready for the next run.
static inline void pkv_leave(pkv_sync *s, unsigned nth) {
  if (atomic_fetch_add(&s->left, 1) + 1 < nth) return;
  atomic_store(&s->arrived, 0);
  atomic_store(&s->next, 0);
  atomic_store(&s->left, 0);
}

// Random shapes on 1 to 4 threads against plain loops: random CASES [VARIANT]. Run by test/native with sanitizers.
#include "../src/check.h"
#include <pthread.h>
#include <stdio.h>

typedef struct {
  pkv_op op;
  pkv_tensor *dst;
  void *args;
  int ith, nth;
} thread_job;

static void *run_thread(void *p) {
  const thread_job *j = p;
  j->op(j->dst, j->ith, j->nth, j->args);
  return 0;
}

static void together(pkv_op op, pkv_tensor *dst, int nth, void *args) {
  pthread_t threads[4];
  thread_job jobs[4];
  for (int i = 0; i < nth; i++) {
    jobs[i] = (thread_job){op, dst, args, i, nth};
    pthread_create(&threads[i], 0, run_thread, &jobs[i]);
  }
  for (int i = 0; i < nth; i++) pthread_join(threads[i], 0);
}

// Sums in f32 alone; with columns that may be rounded to the next code; with products of bf16 pairs.
static double limit_of(const char *isa) {
  if (!strcmp(isa, "avx512vnni")) return 0.02;
  return !strcmp(isa, "amx") || strstr(isa, "bf16") ? 0.3 : 1e-3;
}

int main(int argc, char **argv) {
  const int cases = argc > 1 ? atoi(argv[1]) : 100;
  int failed = 0;
  for (int i = 0; pkv_isas[i]; i++) {
    const pkv_isa *isa = pkv_isas[i];
    if (argc > 2 && strcmp(argv[2], isa->name)) continue;
    if (!isa->available()) {
      printf("%s skipped\n", isa->name);
      continue;
    }
    const double limit = limit_of(isa->name);
    double worst[N_CHECKS] = {0};
    for (int c = 0; c < cases; c++)
      for (int o = 0; o < N_CHECKS; o++) {
        pkv_random r = {.state = (uint64_t)c * N_CHECKS + o};
        const double error = CHECKS[o].run(isa, &r, together, 1 + c % 4,
                                           (check_size){c % 20 ? 50 : 200, 0, -1}); // some of several tiles
        if (!(error <= worst[o])) worst[o] = error;
        if (!(error < limit)) {
          failed++;
          printf("%s %s case %d: error %g\n", isa->name, CHECKS[o].name, c, error);
        }
      }
    for (int o = 0; o < N_CHECKS; o++)
      printf("%s %s: %d cases, largest error %.2g\n", isa->name, CHECKS[o].name, cases, worst[o]);
  }
  return failed > 0;
}

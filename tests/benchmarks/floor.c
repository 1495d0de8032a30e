/* One pass over the bytes of a mixed batch: two rows and a lambda in, one row out.
   Every thread takes its share of the rows, pass after pass. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const void *rows;          /* (examples, width), uint8 or float32 */
  const int32_t *classes;    /* (examples,) */
  const int32_t *first;      /* (blocks, batch): indices of rows */
  const int32_t *second;     /* (blocks, batch) */
  const float *lam;          /* (batch,) */
  float *features;           /* (batch, width), or NULL: fresh memory in every pass */
  float *targets;            /* (batch, num_classes) */
  int64_t width, num_classes, batch, blocks, passes;
  int32_t is_uint8, threads;
} Job;

typedef struct { const Job *job; int32_t index; } Share;

#define LERP(name, T)                                                         \
  static void name(float *restrict x, const T *restrict a, const T *restrict b, \
                   float l, float m, int64_t width) {                         \
    for (int64_t k = 0; k < width; k++) x[k] = l * a[k] + m * b[k];           \
  }
LERP(lerp_uint8, uint8_t)
LERP(lerp_float, float)

static void *work(void *argument) {
  const Share *share = argument;
  const Job *job = share->job;
  int64_t low = job->batch * share->index / job->threads;
  int64_t high = job->batch * (share->index + 1) / job->threads;
  size_t size = (high - low) * job->width * sizeof(float);
  for (int64_t pass = 0; pass < job->passes; pass++) {
    int64_t block = pass % job->blocks * job->batch;
    float *fresh = NULL;
    if (!job->features) fresh = aligned_alloc(64, (size + 63) / 64 * 64);
    for (int64_t r = low; r < high; r++) {
      int64_t i = job->first[block + r], j = job->second[block + r];
      float l = job->lam[r], m = 1 - l;
      float *restrict x = fresh ? fresh + (r - low) * job->width
                                : job->features + r * job->width;
      float *y = job->targets + r * job->num_classes;
      const uint8_t *bytes = job->rows;
      const float *floats = job->rows;
      int64_t w = job->width;
      if (job->is_uint8) lerp_uint8(x, bytes + i * w, bytes + j * w, l, m, w);
      else lerp_float(x, floats + i * w, floats + j * w, l, m, w);
      memset(y, 0, job->num_classes * sizeof(float));
      y[job->classes[i]] += l;
      y[job->classes[j]] += m;
    }
    /* Without this the compiler might drop what nobody reads. */
    __asm__ volatile("" : : "r"(fresh) : "memory");
    free(fresh);
  }
  return NULL;
}

void run(const Job *job) {
  pthread_t threads[64];
  Share shares[64];
  for (int32_t t = 0; t < job->threads; t++) shares[t] = (Share){job, t};
  for (int32_t t = 1; t < job->threads; t++)
    pthread_create(&threads[t], NULL, work, &shares[t]);
  work(&shares[0]);
  for (int32_t t = 1; t < job->threads; t++) pthread_join(threads[t], NULL);
}

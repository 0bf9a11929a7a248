/* CVODE BDF with the band solver on two semi-discretised problems of 1,000 unknowns.
 * Our own driver; links only the system's SUNDIALS (Debian libsundials-dev, 6.4.1).
 *
 *   banded_bench PROBLEM JACOBIAN RTOL ATOL RUNS [MIN_SAMPLE_S]
 *   PROBLEM : heat | brusselator
 *   JACOBIAN: dq (CVODE's own band difference quotients) | analytic
 * One JSON object on stdout.
 */
#include <cvode/cvode.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sunlinsol/sunlinsol_band.h>
#include <sunmatrix/sunmatrix_band.h>
#include <time.h>

#define N 1000
#define PI 3.14159265358979323846

static double now(void) {
  struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec;
}
static double cpu(void) {
  struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + 1e-9 * t.tv_nsec;
}
static int cmp(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y);
}

/* u_t = u_xx on (0, 1), u = 0 at both ends. */
static int f_heat(realtype t, N_Vector u, N_Vector du, void *p) {
  const double *restrict y = N_VGetArrayPointer(u); double *restrict d = N_VGetArrayPointer(du);
  const double c = (N + 1.0) * (N + 1.0);
  d[0] = c * (y[1] - 2.0 * y[0]);
  for (int i = 1; i < N - 1; i++) d[i] = c * (y[i - 1] - 2.0 * y[i] + y[i + 1]);
  d[N - 1] = c * (y[N - 2] - 2.0 * y[N - 1]);
  return 0;
}
static int j_heat(realtype t, N_Vector u, N_Vector fu, SUNMatrix J, void *p, N_Vector a, N_Vector b, N_Vector e) {
  const double c = (N + 1.0) * (N + 1.0);
  for (int j = 0; j < N; j++) {
    realtype *col = SUNBandMatrix_Column(J, j);
    if (j > 0) SM_COLUMN_ELEMENT_B(col, j - 1, j) = c;
    SM_COLUMN_ELEMENT_B(col, j, j) = -2.0 * c;
    if (j < N - 1) SM_COLUMN_ELEMENT_B(col, j + 1, j) = c;
  }
  return 0;
}
static void s_heat(double *y) {
  for (int i = 0; i < N; i++) {
    double x = (i + 1.0) / (N + 1.0);
    y[i] = sin(PI * x) + 0.5 * sin(7.0 * PI * x) + x * (1.0 - x);
  }
}

/* Brusselator with diffusion 1/50, u and v interleaved; u = 1, v = 3 at both ends. Hairer and Wanner II, IV.10. */
#define M (N / 2)
static int f_bruss(realtype t, N_Vector w, N_Vector dw, void *p) {
  const double *restrict y = N_VGetArrayPointer(w); double *restrict d = N_VGetArrayPointer(dw);
  const double c = (M + 1.0) * (M + 1.0) / 50.0;
  for (int i = 0; i < M; i++) {
    double u = y[2 * i], v = y[2 * i + 1];
    double ul = i > 0 ? y[2 * i - 2] : 1.0, vl = i > 0 ? y[2 * i - 1] : 3.0;
    double ur = i < M - 1 ? y[2 * i + 2] : 1.0, vr = i < M - 1 ? y[2 * i + 3] : 3.0;
    double r = u * u * v;
    d[2 * i] = 1.0 + r - 4.0 * u + c * (ul - 2.0 * u + ur);
    d[2 * i + 1] = 3.0 * u - r + c * (vl - 2.0 * v + vr);
  }
  return 0;
}
static int j_bruss(realtype t, N_Vector w, N_Vector fw, SUNMatrix J, void *p, N_Vector a, N_Vector b, N_Vector e) {
  const double *y = N_VGetArrayPointer(w); const double c = (M + 1.0) * (M + 1.0) / 50.0;
  for (int i = 0; i < M; i++) {
    double u = y[2 * i], v = y[2 * i + 1]; int k = 2 * i;
    realtype *cu = SUNBandMatrix_Column(J, k), *cv = SUNBandMatrix_Column(J, k + 1);
    SM_COLUMN_ELEMENT_B(cu, k, k) = 2.0 * u * v - 4.0 - 2.0 * c;
    SM_COLUMN_ELEMENT_B(cu, k + 1, k) = 3.0 - 2.0 * u * v;
    SM_COLUMN_ELEMENT_B(cv, k, k + 1) = u * u;
    SM_COLUMN_ELEMENT_B(cv, k + 1, k + 1) = -u * u - 2.0 * c;
    if (i > 0) { SM_COLUMN_ELEMENT_B(cu, k - 2, k) = c; SM_COLUMN_ELEMENT_B(cv, k - 1, k + 1) = c; }
    if (i < M - 1) { SM_COLUMN_ELEMENT_B(cu, k + 2, k) = c; SM_COLUMN_ELEMENT_B(cv, k + 3, k + 1) = c; }
  }
  return 0;
}
static void s_bruss(double *y) {
  for (int i = 0; i < M; i++) {
    double x = (i + 1.0) / (M + 1.0);
    y[2 * i] = 1.0 + sin(2.0 * PI * x); y[2 * i + 1] = 3.0;
  }
}

typedef struct { const char *name; int band; double t1; CVRhsFn f; CVLsJacFn j; void (*start)(double *); } Prob;
static Prob PROBS[] = {
  {"heat", 1, 0.2, f_heat, j_heat, s_heat},
  {"brusselator", 2, 10.0, f_bruss, j_bruss, s_bruss},
};

static void *mem; static N_Vector y; static Prob *P;
static long nfe, nst, njac, nlu;

static void solve_one(void) {
  realtype t; P->start(N_VGetArrayPointer(y));
  CVodeReInit(mem, 0.0, y); CVodeSetStopTime(mem, P->t1);
  int rc = CVode(mem, P->t1, y, &t, CV_NORMAL);
  if (rc < 0) { fprintf(stderr, "solver failed rc=%d t=%g\n", rc, t); exit(2); }
  long a = 0, b = 0, c = 0, d = 0, e = 0;
  CVodeGetNumSteps(mem, &a); CVodeGetNumRhsEvals(mem, &b); CVodeGetNumLinRhsEvals(mem, &c);
  CVodeGetNumJacEvals(mem, &d); CVodeGetNumLinSolvSetups(mem, &e);
  nst += a; nfe += b + c; njac += d; nlu += e;
}

int main(int argc, char **argv) {
  if (argc < 6) { fprintf(stderr, "usage\n"); return 1; }
  double rtol = atof(argv[3]), atol = atof(argv[4]); int runs = atoi(argv[5]);
  double min_sample = argc > 6 ? atof(argv[6]) : 0.05;
  for (size_t i = 0; i < sizeof(PROBS) / sizeof(PROBS[0]); i++) if (!strcmp(PROBS[i].name, argv[1])) P = &PROBS[i];
  if (!P) { fprintf(stderr, "no such problem\n"); return 1; }
  SUNContext ctx; SUNContext_Create(NULL, &ctx);
  y = N_VNew_Serial(N, ctx); P->start(N_VGetArrayPointer(y));
  mem = CVodeCreate(CV_BDF, ctx);
  CVodeInit(mem, P->f, 0.0, y); CVodeSStolerances(mem, rtol, atol); CVodeSetMaxNumSteps(mem, 100000000);
  SUNMatrix A = SUNBandMatrix(N, P->band, P->band, ctx); SUNLinearSolver LS = SUNLinSol_Band(y, A, ctx);
  CVodeSetLinearSolver(mem, LS, A);
  if (!strcmp(argv[2], "analytic")) CVodeSetJacFn(mem, P->j);
  double t0 = now(); int inner = 0;
  do { solve_one(); inner++; } while (now() - t0 < min_sample);
  double *wall = malloc(8 * runs), *used = malloc(8 * runs);
  nfe = nst = njac = nlu = 0;
  for (int r = 0; r < runs; r++) {
    double a = now(), b = cpu();
    for (int k = 0; k < inner; k++) solve_one();
    wall[r] = (now() - a) / inner; used[r] = (cpu() - b) / inner;
  }
  qsort(wall, runs, 8, cmp); qsort(used, runs, 8, cmp);
  long all = (long)runs * inner;
  printf("{\"median\": %.9g, \"min\": %.9g, \"cpu\": %.9g, \"nfe\": %ld, \"steps\": %ld, \"jacobians\": %ld, \"factorisations\": %ld, \"y\": [",
         wall[runs / 2], wall[0], used[runs / 2], nfe / all, nst / all, njac / all, nlu / all);
  for (int i = 0; i < N; i++) printf("%s%.17g", i ? ", " : "", N_VGetArrayPointer(y)[i]);
  printf("]}\n");
  return 0;
}

// A program that calls what liburing and the system offer, and writes down every answer.
//
// It is linked twice, with liburing and with the model in its place; the two texts must be the
// same. So it says nothing that a kernel is free to choose.
#pragma once

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

void make_calls(FILE* out);

#ifdef __cplusplus
}
#endif

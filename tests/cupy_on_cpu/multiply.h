// Products by the book, for cuBLAS and cuBLASLt. Matrices lie by columns, `ld` elements apart.
#pragma once
#include <stddef.h>

#include <vector>

// c = alpha op(a) op(b) + beta c, each sum in the type of Sum; c is not read if beta is 0
template <typename T, typename Sum>
void multiply(bool ta, bool tb, int m, int n, int k, Sum alpha, const T* a, int lda, const T* b, int ldb, Sum beta,
              T* c, int ldc) {
    std::vector<Sum> rows((size_t)m * k), sums(m);  // op(a), by columns
    for (int l = 0; l < k; ++l)
        for (int i = 0; i < m; ++i) rows[(size_t)l * m + i] = Sum(ta ? a[l + (size_t)i * lda] : a[i + (size_t)l * lda]);
    for (int j = 0; j < n; ++j) {
        sums.assign(m, Sum(0));
        for (int l = 0; l < k; ++l) {
            const Sum by = Sum(tb ? b[j + (size_t)l * ldb] : b[l + (size_t)j * ldb]);
            const Sum* const row = &rows[(size_t)l * m];
            for (int i = 0; i < m; ++i) sums[i] += row[i] * by;
        }
        for (int i = 0; i < m; ++i) {
            T& to = c[i + (size_t)j * ldc];
            to = T(beta == Sum(0) ? alpha * sums[i] : alpha * sums[i] + beta * Sum(to));
        }
    }
}

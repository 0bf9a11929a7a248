// How large the eigenvalues of a Jacobian are, for a price that an implicit step does not feel.
namespace Continuum

open System

/// Estimates the spectral radius of a slowly changing matrix by power iteration that goes on from where it stood: a few
/// products a call. Golub and Van Loan, Matrix Computations, 7.3. One for each solve.
[<Sealed>]
type internal SpectralEstimate(shape: MatrixShape) =
    let n = shape.Size

    // Fixed numbers without pattern: the same solve gives the same steps.
    let seed =
        Array.init n (fun i ->
            let x = 43758.5453 * sin (12.9898 * float (i + 1))
            2.0 * (x - floor x) - 1.0)

    let mutable vector = Array.copy seed
    let mutable product: float[] = Array.zeroCreate n
    let mutable started = false

    let norm (v: float[]) =
        let mutable s = 0.0

        for x in v do
            s <- s + x * x

        sqrt s

    let multiply (matrix: float[]) =
        for i in 0 .. n - 1 do
            let first = max 0 (i - shape.Lower)
            let count = min (n - 1) (i + shape.Upper) - first + 1
            let at = i * shape.Stride + first + shape.Offset
            product[i] <- Rows.dot (ReadOnlySpan<float>(matrix, at, count)) (ReadOnlySpan<float>(vector, first, count))

    /// |lambda| of the largest eigenvalue of the matrix, in the shape's layout: the geometric mean growth over the products, which
    /// complex pairs do not disturb. Close to it from below, as a rule within a factor of two.
    member _.Radius(matrix: float[]) : float =
        // A little of every direction, so that another eigenvalue can take over.
        let length = norm vector

        for i in 0 .. n - 1 do
            vector[i] <- vector[i] / length + 0.01 * seed[i]

        let rounds = if started then 3 else 10
        started <- true
        let mutable last = norm vector
        let mutable logarithm = 0.0
        let mutable counted = 0
        let mutable r = 0

        while r < rounds do
            multiply matrix
            let size = norm product

            if size > 0.0 && size < infinity then
                // The first product still carries the directions that were mixed in.
                if r > 0 then
                    logarithm <- logarithm + Math.Log(size / last)
                    counted <- counted + 1

                for i in 0 .. n - 1 do
                    vector[i] <- product[i] / size

                last <- 1.0
                r <- r + 1
            else
                Array.blit seed 0 vector 0 n
                r <- rounds

        if counted = 0 then nan else Math.Exp(logarithm / float counted)

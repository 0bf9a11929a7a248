// Levy area of pieces in host memory. A leaf has A = H x W - W x H + b, b antisymmetric with b_ij ~ N(0, h^2/20 + h/5 (H_i^2 + H_j^2))
// given H: mean and variance of A given (W, H) are then exact, and so is its kurtosis (Foster and Habermann 2023). Larger pieces are sums
// of leaves by Chen's identity.
namespace Continuum

open System

/// A of m Brownian motions over a batch of b paths: rows (i, j), i < j, of b numbers. W and H are rows of the same piece.
[<RequireQualifiedAccess>]
module internal BrownianArea =

    /// Number of pairs i < j.
    let pairs (m: int) = m * (m - 1) / 2

    /// Variance of b_ij.
    let inline variance (h: float) (hi: float) (hj: float) = h * h * 0.05 + h * 0.2 * (hi * hi + hj * hj)

    /// A of a leaf from its W and H and normals z (rows of pairs).
    let draw (m: int) (batch: int) (h: float) (z: Span<float>) (piece: float[]) =
        let n = m * batch
        let mutable row = 0

        for i in 0 .. m - 2 do
            for j in i + 1 .. m - 1 do
                for b in 0 .. batch - 1 do
                    let hi = piece[n + i * batch + b]
                    let hj = piece[n + j * batch + b]
                    let noise = sqrt (variance h hi hj) * z[row + b]
                    let mean = hi * piece[j * batch + b] - piece[i * batch + b] * hj
                    piece[2 * n + row + b] <- mean + noise

                row <- row + batch

    /// A of the parts of a leaf. Given both parts' W and H, Chen's identity fixes the sum of their b; each gets the share that Gaussian
    /// conditioning gives for independent b of the variances above (b is not quite Gaussian: inside of a leaf A is right in mean and
    /// nearly so in variance). Their sum is A of the whole in every case.
    let divide
        (m: int)
        (batch: int)
        (length1: float)
        (length2: float)
        (z: Span<float>)
        (whole: float[])
        (first: float[])
        (second: float[])
        =
        let n = m * batch
        let mutable row = 0

        for i in 0 .. m - 2 do
            for j in i + 1 .. m - 1 do
                for b in 0 .. batch - 1 do
                    let pi = i * batch + b
                    let pj = j * batch + b
                    let mean1 = first[n + pi] * first[pj] - first[pi] * first[n + pj]
                    let mean2 = second[n + pi] * second[pj] - second[pi] * second[n + pj]
                    let joint = 0.5 * (first[pi] * second[pj] - first[pj] * second[pi])
                    let total = whole[2 * n + row + b] - joint
                    let rest = total - mean1 - mean2
                    let v1 = variance length1 first[n + pi] first[n + pj]
                    let v2 = variance length2 second[n + pi] second[n + pj]
                    let share = v1 / (v1 + v2)
                    let a1 = mean1 + (share * rest + sqrt (share * v2) * z[row + b])
                    first[2 * n + row + b] <- a1
                    second[2 * n + row + b] <- total - a1

                row <- row + batch

    /// A of into followed by piece, in into; W of into is still that of the first part.
    let append (m: int) (batch: int) (into: float[]) (piece: float[]) =
        let n = m * batch
        let mutable row = 0

        for i in 0 .. m - 2 do
            for j in i + 1 .. m - 1 do
                for b in 0 .. batch - 1 do
                    let pi = i * batch + b
                    let pj = j * batch + b
                    let joint = 0.5 * (into[pi] * piece[pj] - into[pj] * piece[pi])
                    into[2 * n + row + b] <- into[2 * n + row + b] + piece[2 * n + row + b] + joint

                row <- row + batch

    /// A of what follows `first` in `whole`, in into, which holds its W already.
    let remove (m: int) (batch: int) (whole: float[]) (first: float[]) (into: float[]) =
        let n = m * batch
        let mutable row = 0

        for i in 0 .. m - 2 do
            for j in i + 1 .. m - 1 do
                for b in 0 .. batch - 1 do
                    let pi = i * batch + b
                    let pj = j * batch + b
                    let joint = 0.5 * (first[pi] * into[pj] - first[pj] * into[pi])
                    into[2 * n + row + b] <- whole[2 * n + row + b] - first[2 * n + row + b] - joint

                row <- row + batch

// Stochastic equations on arrays: the arithmetic of steps, for one path or for groups of paths in SIMD lanes, and derivatives of the
// diffusion by dual numbers.
namespace Continuum

#nowarn "3535" "3536"

open System

/// The scratch that directional derivatives need. For one thread.
[<Sealed>]
type internal SdeDuals<'T when 'T: struct and 'T :> IReal<'T>>(n: int, m: int, parameterCount: int, diffusionSize: int)
    =
    /// The state with a direction.
    member val Y: Dual<'T>[] = Array.zeroCreate n
    /// The parameters, constant.
    member val P: Dual<'T>[] = Array.zeroCreate parameterCount
    /// Values of g with their derivatives.
    member val G: Dual<'T>[] = Array.zeroCreate diffusionSize
    /// A direction.
    member val V: 'T[] = Array.zeroCreate n
    /// Number of Brownian motions.
    member _.NoiseSize = m

/// The space of an equation on arrays. All arrays are doubles: `groups` times the numbers of one path, each number a 'T (a double for
/// LaneReal, eight of them for Lanes), so that a state is groups x n x lanes, a noise vector groups x m x lanes, parameters groups x count x lanes.
/// Sums run along the doubles and products within a group run over 'T, with the same operations in the same order for every 'T: a path has
/// the same bits alone and in lanes. duals may be null where no method asks for derivatives.
[<Struct; NoComparison; NoEquality>]
type internal ArraySdeSpace<'T, 'G when 'T: struct and 'T :> IReal<'T> and 'G: struct and 'G :> IGenericSde>
    (field: 'G, noise: NoiseKind, parameters: float[], groups: int, duals: SdeDuals<'T>) =

    member private _.IsElementwise = noise = NoiseKind.Scalar || noise = NoiseKind.Diagonal

    /// Noise and state lie side by side: products are componentwise along the doubles.
    member private _.IsAligned = noise = NoiseKind.Diagonal || noise = NoiseKind.Scalar && field.Size = 1

    member private _.DiffusionSize =
        if noise = NoiseKind.Scalar || noise = NoiseKind.Diagonal then
            field.Size
        else
            field.Size * field.NoiseSize

    /// Doubles of a number.
    static member Width = System.Runtime.CompilerServices.Unsafe.SizeOf<'T>() / 8
    /// Doubles of a state.
    member _.StateLength = groups * field.Size * ArraySdeSpace<'T, 'G>.Width
    /// Doubles of a noise vector.
    member _.NoiseLength = groups * field.NoiseSize * ArraySdeSpace<'T, 'G>.Width

    /// The equation's values are written without further checks.
    member private this.CheckState(y: float[], dest: float[], size: int) =
        if
            y.Length < this.StateLength
            || dest.Length < groups * size * ArraySdeSpace<'T, 'G>.Width
            || parameters.Length < groups * field.ParameterCount * ArraySdeSpace<'T, 'G>.Width
        then
            raise (
                ArgumentException
                    $"A state of {y.Length} numbers or {parameters.Length} parameters do not make {groups} groups of paths."
            )

    /// dest += g x for scalar noise and matrices.
    member private this.AddProduct(dest: float[], g: float[], x: float[]) =
        let n = field.Size
        let m = field.NoiseSize
        let dest = NumberSpan.Of<'T> dest
        let g = NumberSpan.Of<'T> g
        let x = NumberSpan.Of<'T> x

        if this.IsElementwise then
            for group in 0 .. groups - 1 do
                let w = x[group]

                for i in group * n .. group * n + n - 1 do
                    dest[i] <- 'T.op_Addition (dest[i], 'T.op_Multiply (g[i], w))
        else
            for group in 0 .. groups - 1 do
                let w = x.Slice(group * m, m)

                for i in 0 .. n - 1 do
                    let row = g.Slice((group * n + i) * m, m)
                    let mutable sum = dest[group * n + i]

                    for j in 0 .. m - 1 do
                        sum <- 'T.op_Addition (sum, 'T.op_Multiply (row[j], w[j]))

                    dest[group * n + i] <- sum

    /// D g along v at the point in duals.Y.
    member private _.Differentiate(t: float, group: int, y: ReadOnlySpan<'T>, v: ReadOnlySpan<'T>) =
        let count = field.ParameterCount
        let p = NumberSpan.Of<'T> parameters

        for i in 0 .. y.Length - 1 do
            duals.Y[i] <- Dual<'T>(y[i], v[i])

        for i in 0 .. count - 1 do
            duals.P[i] <- Dual<'T>(p[group * count + i], 'T.Of 0.0)

        field.Diffusion<Dual<'T>>(
            Dual<'T>('T.Of t, 'T.Of 0.0),
            ReadOnlySpan<Dual<'T>> duals.Y,
            ReadOnlySpan<Dual<'T>> duals.P,
            Span<Dual<'T>> duals.G
        )

    /// Noise that sits side by side with the state: g and its derivative from one evaluation.
    member private this.AlignedDerivative(t: float, y: float[], i: float[], destG: float[], dest: float[]) =
        let n = field.Size
        let all = NumberSpan.Of<'T> y
        let g = NumberSpan.Of<'T> destG
        let dest = NumberSpan.Of<'T> dest
        duals.V.AsSpan().Fill('T.Of 1.0)

        for group in 0 .. groups - 1 do
            let from = group * n
            this.Differentiate(t, group, all.Slice(from, n), ReadOnlySpan<'T> duals.V)

            for c in 0 .. n - 1 do
                let value = duals.G[c].Value
                let term = 'T.op_Multiply (duals.G[c].Tangent, value)
                g[from + c] <- value

                dest[from + c] <-
                    if isNull i then
                        term
                    else
                        'T.op_Multiply (term, (NumberSpan.Of<'T> i)[from + c])

    /// One Brownian motion for several components: g, then its derivative along i g.
    member private this.ScalarDerivative(t: float, y: float[], i: float[], g: float[], dest: float[]) =
        let n = field.Size
        let all = NumberSpan.Of<'T> y
        let g = NumberSpan.Of<'T> g
        let dest = NumberSpan.Of<'T> dest
        let v = duals.V

        for group in 0 .. groups - 1 do
            let from = group * n

            for c in 0 .. n - 1 do
                v[c] <-
                    if isNull i then
                        g[from + c]
                    else
                        'T.op_Multiply (g[from + c], (NumberSpan.Of<'T> i)[group])

            this.Differentiate(t, group, all.Slice(from, n), ReadOnlySpan<'T> v)

            for c in 0 .. n - 1 do
                dest[from + c] <- duals.G[c].Tangent

    /// Matrices: for each column l the derivative of it along sum_k i_kl g_k.
    member private this.MatrixDerivative(t: float, y: float[], i: float[], g: float[], dest: float[]) =
        let n = field.Size
        let m = field.NoiseSize
        let all = NumberSpan.Of<'T> y
        let g = NumberSpan.Of<'T> g
        let dest = NumberSpan.Of<'T> dest
        let v = duals.V
        dest.Slice(0, groups * n).Fill('T.Of 0.0)

        for group in 0 .. groups - 1 do
            let from = group * n

            for l in 0 .. m - 1 do
                for c in 0 .. n - 1 do
                    let row = g.Slice((from + c) * m, m)

                    v[c] <-
                        if isNull i then
                            row[l]
                        else
                            let i = (NumberSpan.Of<'T> i).Slice(group * m * m, m * m)
                            let mutable sum = 'T.op_Multiply (row[0], i[l])

                            for k in 1 .. m - 1 do
                                sum <- 'T.op_Addition (sum, 'T.op_Multiply (row[k], i[k * m + l]))

                            sum

                this.Differentiate(t, group, all.Slice(from, n), ReadOnlySpan<'T> v)

                for c in 0 .. n - 1 do
                    dest[from + c] <- 'T.op_Addition (dest[from + c], duals.G[c * m + l].Tangent)

    interface ISdeCalculusSpace<float[], float[], float[]> with
        member this.Allocate _ = Array.zeroCreate this.StateLength

        member this.AllocateNoise() =
            // room for a matrix
            let m = if this.IsElementwise then 1 else field.NoiseSize
            Array.zeroCreate (this.NoiseLength * m)

        member this.AllocateDiffusion _ = Array.zeroCreate (groups * this.DiffusionSize * ArraySdeSpace<'T, 'G>.Width)

        member this.Drift(t, y, dest) =
            let n = field.Size
            let count = field.ParameterCount
            this.CheckState(y, dest, n)
            let time = 'T.Of t

            for group in 0 .. groups - 1 do
                field.Drift<'T>(
                    time,
                    NumberSpan.ReadPart<'T>(y, group * n, n),
                    NumberSpan.ReadPart<'T>(parameters, group * count, count),
                    NumberSpan.Part<'T>(dest, group * n, n)
                )

            dest

        member this.Diffusion(t, y, dest) =
            let n = field.Size
            let size = this.DiffusionSize
            let count = field.ParameterCount
            this.CheckState(y, dest, size)
            let time = 'T.Of t

            for group in 0 .. groups - 1 do
                field.Diffusion<'T>(
                    time,
                    NumberSpan.ReadPart<'T>(y, group * n, n),
                    NumberSpan.ReadPart<'T>(parameters, group * count, count),
                    NumberSpan.Part<'T>(dest, group * size, size)
                )

            dest

        member this.Combine(dest, y, a, f, nf, g, x, ng) =
            let length = this.StateLength

            if this.IsAligned && ng > 0 && nf = 1 && a[0] <> 0.0 then
                SdeSums.step dest y a[0] f[0] g[0] x[0] length

                if ng > 1 then
                    SdeSums.products dest dest g x 1 ng length
            else
                let written = SdeSums.combine dest y a f nf length

                if ng = 0 || not this.IsAligned then
                    if not written then
                        SdeSums.copy dest y length

                    for k in 0 .. ng - 1 do
                        this.AddProduct(dest, g[k], x[k])
                else
                    SdeSums.products dest (if written then dest else y) g x 0 ng length

            dest

        member this.Zero(dest, _) =
            Array.Clear(dest, 0, this.StateLength)
            dest

        member this.Noise(dest, c, basis, count) =
            SdeSums.weighted dest c basis count this.NoiseLength
            dest

        member this.Power(dest, w, exponent) =
            let length = this.NoiseLength

            match exponent with
            | 0 -> dest.AsSpan(0, length).Fill 1.0
            | 2 -> SdeSums.square dest w length
            | _ -> SdeSums.cube dest w length

            dest

        member this.Spread(dest, _, g) =
            if this.IsElementwise then
                SdeSums.magnitude dest g this.StateLength
            else
                let m = field.NoiseSize
                let values = NumberSpan.Of<'T> g
                let spread = NumberSpan.Of<'T> dest

                for i in 0 .. groups * field.Size - 1 do
                    let mutable sum = 'T.Of 0.0

                    for j in i * m .. i * m + m - 1 do
                        sum <- 'T.op_Addition (sum, 'T.op_Multiply (values[j], values[j]))

                    spread[i] <- 'T.Sqrt sum

            dest

        member this.IsElementwise = this.IsElementwise
        member _.NoiseSize = field.NoiseSize

        member this.Iterated(dest, w, a, q) =
            if this.IsElementwise then
                SdeSums.iterated dest w q this.NoiseLength
            else
                let m = field.NoiseSize
                let all = NumberSpan.Of<'T> w
                let matrices = NumberSpan.Of<'T> dest
                let half = 'T.Of 0.5

                for group in 0 .. groups - 1 do
                    let w = all.Slice(group * m, m)

                    for k in 0 .. m - 1 do
                        for l in 0 .. m - 1 do
                            let square = 'T.op_Multiply (w[k], w[l])
                            let square = if k = l then 'T.op_Subtraction (square, 'T.Of q) else square
                            let term = 'T.op_Multiply (half, square)
                            let at = (group * m + k) * m + l
                            matrices[at] <- if isNull a then term else 'T.op_Addition ((NumberSpan.Of<'T> a)[at], term)

            dest

        member this.WithDerivative(t, y, i, destG, dest) =
            if this.IsAligned then
                this.AlignedDerivative(t, y, i, destG, dest)
            else
                let g = (this :> ISdeCalculusSpace<float[], float[], float[]>).Diffusion(t, y, destG)

                if this.IsElementwise then
                    this.ScalarDerivative(t, y, i, g, dest)
                else
                    this.MatrixDerivative(t, y, i, g, dest)

            struct (destG, dest)

        member this.Unit(dest, _, k, c) =
            let m = field.NoiseSize
            Array.Clear(dest, 0, this.NoiseLength)
            let vectors = NumberSpan.Of<'T> dest

            for group in 0 .. groups - 1 do
                vectors[group * m + k] <- 'T.Of c

            dest

        member this.Row(dest, matrix, k, c) =
            let m = field.NoiseSize
            let rows = NumberSpan.Of<'T> dest
            let matrices = NumberSpan.Of<'T> matrix

            for group in 0 .. groups - 1 do
                for j in 0 .. m - 1 do
                    rows[group * m + j] <-
                        if this.IsElementwise then
                            if j = k then 'T.op_Multiply ('T.Of c, matrices[group * m + j]) else 'T.Of 0.0
                        else
                            'T.op_Multiply ('T.Of c, matrices[(group * m + k) * m + j])

            dest

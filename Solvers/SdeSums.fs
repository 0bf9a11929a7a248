// The sums of stochastic steps on rows of doubles, in registers. Every number is a function of the numbers at its own place alone, in one
// fixed order of operations, never fused: the same bits whatever the length of the row and the width of the registers.
namespace Continuum

open System
open System.Numerics
open System.Runtime.InteropServices

/// Loops over the first `count` numbers of rows. dest may be any of the arguments.
[<RequireQualifiedAccess>]
module internal SdeSums =
    let inline private load (row: float[]) (i: int) : Vector<float> =
        Vector.LoadUnsafe(&MemoryMarshal.GetArrayDataReference row, unativeint i)

    let inline private store (row: float[]) (i: int) (value: Vector<float>) =
        Vector.StoreUnsafe(value, &MemoryMarshal.GetArrayDataReference row, unativeint i)

    /// Loads and stores do not check; this does.
    let private check (row: float[]) (count: int) =
        if row.Length < count then
            raise (ArgumentException $"A row of {row.Length} numbers is too short for {count}.")

    let inline private over
        (dest: float[])
        (count: int)
        ([<InlineIfLambda>] wide: int -> Vector<float>)
        ([<InlineIfLambda>] one: int -> float)
        =
        check dest count
        let mutable i = 0

        while i <= count - Vector<float>.Count do
            store dest i (wide i)
            i <- i + Vector<float>.Count

        while i < count do
            dest[i] <- one i
            i <- i + 1

    /// dest = y + a f.
    let add1 (dest: float[]) (y: float[]) (a: float) (f: float[]) (count: int) =
        check y count
        check f count
        let wideA = Vector<float> a
        over dest count (fun i -> load y i + wideA * load f i) (fun i -> y[i] + a * f[i])

    /// dest = y + a f + b g, from left to right.
    let add2 (dest: float[]) (y: float[]) (a: float) (f: float[]) (b: float) (g: float[]) (count: int) =
        check y count
        check f count
        check g count
        let wideA = Vector<float> a
        let wideB = Vector<float> b

        over dest count (fun i -> load y i + wideA * load f i + wideB * load g i) (fun i ->
            y[i] + a * f[i] + b * g[i])

    /// dest = y + g x.
    let product1 (dest: float[]) (y: float[]) (g: float[]) (x: float[]) (count: int) =
        check y count
        check g count
        check x count
        over dest count (fun i -> load y i + load g i * load x i) (fun i -> y[i] + g[i] * x[i])

    /// dest = y + g1 x1 + g2 x2, from left to right.
    let product2 (dest: float[]) (y: float[]) (g1: float[]) (x1: float[]) (g2: float[]) (x2: float[]) (count: int) =
        check y count
        check g1 count
        check x1 count
        check g2 count
        check x2 count

        over dest count (fun i -> load y i + load g1 i * load x1 i + load g2 i * load x2 i) (fun i ->
            y[i] + g1[i] * x1[i] + g2[i] * x2[i])

    /// dest = y + a f + g x, from left to right.
    let step (dest: float[]) (y: float[]) (a: float) (f: float[]) (g: float[]) (x: float[]) (count: int) =
        check y count
        check f count
        check g count
        check x count
        let wideA = Vector<float> a

        over dest count (fun i -> load y i + wideA * load f i + load g i * load x i) (fun i ->
            y[i] + a * f[i] + g[i] * x[i])

    /// dest = c x.
    let scale (dest: float[]) (c: float) (x: float[]) (count: int) =
        check x count
        let wideC = Vector<float> c
        over dest count (fun i -> wideC * load x i) (fun i -> c * x[i])

    /// dest = x^2.
    let square (dest: float[]) (x: float[]) (count: int) =
        check x count
        over dest count (fun i -> load x i * load x i) (fun i -> x[i] * x[i])

    /// dest = x^3.
    let cube (dest: float[]) (x: float[]) (count: int) =
        check x count
        over dest count (fun i -> load x i * load x i * load x i) (fun i -> x[i] * x[i] * x[i])

    /// dest = 1/2 (w^2 - q).
    let iterated (dest: float[]) (w: float[]) (q: float) (count: int) =
        check w count
        let wideQ = Vector<float> q
        let half = Vector<float> 0.5
        over dest count (fun i -> half * (load w i * load w i - wideQ)) (fun i -> 0.5 * (w[i] * w[i] - q))

    /// dest = |x|.
    let magnitude (dest: float[]) (x: float[]) (count: int) =
        check x count
        over dest count (fun i -> Vector.Abs(load x i)) (fun i -> Math.Abs x[i])

    /// dest = x, if they are two rows.
    let copy (dest: float[]) (x: float[]) (count: int) =
        if not (obj.ReferenceEquals(dest, x)) then
            Array.blit x 0 dest 0 count

    /// dest = y + sum_{j < count} a_j f_j over `length` numbers; f_j is not looked at where a_j = 0. False where nothing was added and
    /// dest was not written.
    let combine (dest: float[]) (y: float[]) (a: float[]) (f: float[][]) (count: int) (length: int) : bool =
        let mutable from = y
        let mutable j = 0

        while j < count do
            let first = j
            j <- j + 1

            if a[first] <> 0.0 then
                while j < count && a[j] = 0.0 do
                    j <- j + 1

                if j < count then
                    add2 dest from a[first] f[first] a[j] f[j] length
                    j <- j + 1
                else
                    add1 dest from a[first] f[first] length

                from <- dest

        not (obj.ReferenceEquals(from, y)) || obj.ReferenceEquals(dest, y)

    /// dest = y + sum_{k < count} g_k x_k componentwise, count > 0.
    let products (dest: float[]) (y: float[]) (g: float[][]) (x: float[][]) (count: int) (length: int) =
        let mutable from = y
        let mutable k = 0

        while k < count do
            if k + 1 < count then
                product2 dest from g[k] x[k] g[k + 1] x[k + 1] length
            else
                product1 dest from g[k] x[k] length

            from <- dest
            k <- k + 2

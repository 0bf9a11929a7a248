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

    let private tooShort (length: int) (count: int) =
        raise (ArgumentException $"A row of {length} numbers is too short for {count}.")

    /// Loads and stores do not check; this does.
    let inline private check (row: float[]) (count: int) =
        if row.Length < count then
            tooShort row.Length count

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

        over dest count (fun i -> load y i + wideA * load f i + wideB * load g i) (fun i -> y[i] + a * f[i] + b * g[i])

    /// dest = y + a f + b g + c k, from left to right.
    let add3
        (dest: float[])
        (y: float[])
        (a: float)
        (f: float[])
        (b: float)
        (g: float[])
        (c: float)
        (k: float[])
        (count: int)
        =
        check y count
        check f count
        check g count
        check k count
        let wideA = Vector<float> a
        let wideB = Vector<float> b
        let wideC = Vector<float> c

        over dest count (fun i -> load y i + wideA * load f i + wideB * load g i + wideC * load k i) (fun i ->
            y[i] + a * f[i] + b * g[i] + c * k[i])

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

    /// dest = y + sum of four products, from left to right.
    let product4 (dest: float[]) (y: float[]) (g: float[][]) (x: float[][]) (first: int) (count: int) =
        let g1, g2, g3, g4 = g[first], g[first + 1], g[first + 2], g[first + 3]
        let x1, x2, x3, x4 = x[first], x[first + 1], x[first + 2], x[first + 3]
        check y count

        for j in first .. first + 3 do
            check g[j] count
            check x[j] count

        over
            dest
            count
            (fun i ->
                load y i
                + load g1 i * load x1 i
                + load g2 i * load x2 i
                + load g3 i * load x3 i
                + load g4 i * load x4 i)
            (fun i -> y[i] + g1[i] * x1[i] + g2[i] * x2[i] + g3[i] * x3[i] + g4[i] * x4[i])

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

    /// dest = a x + b y.
    let scale2 (dest: float[]) (a: float) (x: float[]) (b: float) (y: float[]) (count: int) =
        check x count
        check y count
        let wideA = Vector<float> a
        let wideB = Vector<float> b
        over dest count (fun i -> wideA * load x i + wideB * load y i) (fun i -> a * x[i] + b * y[i])

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

    /// The first index from j on whose weight is not zero, or count.
    let private next (a: float[]) (j: int) (count: int) =
        let mutable j = j

        while j < count && a[j] = 0.0 do
            j <- j + 1

        j

    /// dest = from + sum_{first <= j < count} a_j f_j over `length` numbers, a_first not zero; f_j is not looked at where a_j = 0.
    let rec private addFrom
        (dest: float[])
        (from: float[])
        (a: float[])
        (f: float[][])
        (first: int)
        (count: int)
        (length: int)
        =
        let second = next a (first + 1) count
        let third = if second < count then next a (second + 1) count else count

        if third < count then
            add3 dest from a[first] f[first] a[second] f[second] a[third] f[third] length
            let rest = next a (third + 1) count

            if rest < count then
                addFrom dest dest a f rest count length
        elif second < count then
            add2 dest from a[first] f[first] a[second] f[second] length
        else
            add1 dest from a[first] f[first] length

    /// dest = y + sum_{j < count} a_j f_j over `length` numbers; f_j is not looked at where a_j = 0. False where nothing was added and
    /// dest was not written.
    let combine (dest: float[]) (y: float[]) (a: float[]) (f: float[][]) (count: int) (length: int) : bool =
        let first = next a 0 count

        if first < count then
            addFrom dest y a f first count length

        first < count || obj.ReferenceEquals(dest, y)

    /// dest = sum_{j < count} c_j x_j over `length` numbers; x_j is not looked at where c_j = 0.
    let weighted (dest: float[]) (c: float[]) (x: float[][]) (count: int) (length: int) =
        let first = next c 0 count

        if first = count then
            Array.Clear(dest, 0, length)
        else
            let second = next c (first + 1) count

            if second = count then
                scale dest c[first] x[first] length
            else
                scale2 dest c[first] x[first] c[second] x[second] length
                let rest = next c (second + 1) count

                if rest < count then
                    addFrom dest dest c x rest count length

    /// dest = y + sum_{first <= k < count} g_k x_k componentwise, first < count.
    let rec products
        (dest: float[])
        (y: float[])
        (g: float[][])
        (x: float[][])
        (first: int)
        (count: int)
        (length: int)
        =
        let taken =
            match count - first with
            | 1 ->
                product1 dest y g[first] x[first] length
                1
            | 2
            | 3 ->
                product2 dest y g[first] x[first] g[first + 1] x[first + 1] length
                2
            | _ ->
                product4 dest y g x first length
                4

        if first + taken < count then
            products dest dest g x (first + taken) count length

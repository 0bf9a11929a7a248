// The truncated tensor algebra over R^d: where signatures live. An element is 1 + x or x with x = (x_1, ..., x_N), x_k having one
// coordinate for each word of k letters.
//   Reutenauer 1993, Free Lie Algebras; Kidger and Lyons 2021, Signatory.
namespace Continuum

open System
open TorchSharp

/// Elements as arrays of levels with the words in front: level k (index k - 1) has shape (d^k, ...), words in lexicographic order.
/// With words in front the inner loops run over the batch, which is long, and not over the letters, which are few.
[<RequireQualifiedAccess>]
module internal Levels =

    /// (p, ...) and (q, ...) to (p q, ...): the tensor product.
    let outer (a: Tensor) (b: Tensor) : Tensor = a.unsqueeze(1L).mul(b.unsqueeze 0L).flatten(0L, 1L)

    let private scaled (x: Tensor) (factor: float) =
        use scalar = factor.ToScalar()
        x.mul scalar

    let private plus (sum: Tensor) (term: Tensor) : Tensor = if isNull sum then term else sum.add term

    /// Level k of x t, where t has the scalar part `unit` and the levels `t`; x has none.
    let private productAt (x: Tensor[]) (unit: float) (t: Tensor[]) (k: int) : Tensor =
        let mutable sum: Tensor = if unit = 1.0 then x[k - 1] else scaled x[k - 1] unit

        for i in 1 .. k - 1 do
            sum <- plus sum (outer x[i - 1] t[k - i - 1])

        sum

    /// (1 + a)(1 + b), without the 1.
    let multiply (a: Tensor[]) (b: Tensor[]) : Tensor[] =
        Array.init a.Length (fun level -> (productAt a 1.0 b (level + 1)).add b[level])

    /// 1/(1 + x), without the 1.
    let inverse (x: Tensor[]) : Tensor[] =
        let y = Array.zeroCreate<Tensor> x.Length

        for k in 1 .. x.Length do
            y[k - 1] <- (productAt x 1.0 y k).neg()

        y

    /// exp x, without the 1, by Horner's scheme 1 + x(1 + x/2(1 + x/3(...))).
    let exp (x: Tensor[]) : Tensor[] =
        let depth = x.Length
        let mutable t = [||]

        for m in depth .. -1 .. 1 do
            let known = t
            t <- Array.init (depth - m + 1) (fun level -> scaled (productAt x 1.0 known (level + 1)) (1.0 / float m))

        t

    /// log (1 + x), by Horner's scheme x(1 - x(1/2 - x(1/3 - ...))).
    let log (x: Tensor[]) : Tensor[] =
        let depth = x.Length
        let mutable t = [||]

        for m in depth .. -1 .. 2 do
            let known = t
            let unit = 1.0 / float m
            t <- Array.init (depth - m + 1) (fun level -> (productAt x unit known (level + 1)).neg())

        let known = t
        Array.init depth (fun level -> productAt x 1.0 known (level + 1))

    /// Products of the first 1, 2, ... factors along the last dimension. In an algebra where products of more than N factors without
    /// scalar part vanish, a scan is N sums: level k of (1 + p_m)(1 + x_m) - (1 + p_m) needs only levels below k of p.
    let scan (x: Tensor[]) : Tensor[] =
        let depth = x.Length
        let found = Array.zeroCreate<Tensor> depth
        let before = Array.zeroCreate<Tensor> depth

        for k in 1..depth do
            let mutable growth = x[k - 1]

            for i in 1 .. k - 1 do
                growth <- growth.add (outer before[i - 1] x[k - i - 1])

            found[k - 1] <- growth.cumsum -1L

            if k < depth then
                before[k - 1] <- found[k - 1].sub growth

        found

    /// From (..., d + ... + d^N): views with the words in front.
    let split (channels: int) (depth: int) (flat: Tensor) : Tensor[] =
        let front = flat.movedim ([| -1L |], [| 0L |])
        let mutable start = 0L
        let mutable count = 1L

        Array.init depth (fun _ ->
            count <- count * int64 channels
            let level = front.narrow (0L, start, count)
            start <- start + count
            level)

    /// To (..., d + ... + d^N).
    let join (levels: Tensor[]) : Tensor =
        torch.cat (levels |> Array.map (fun x -> x.movedim ([| 0L |], [| -1L |])), -1L)

/// The truncated tensor algebra on tensors of shape (..., d + d^2 + ... + d^N): the coordinates of all words of 1 to N letters, by
/// length and then in lexicographic order; the coordinate of the empty word (1 for signatures, 0 for their logarithms) is not stored.
/// Every operation acts on the last dimension, broadcasts over the others, works in float32 and float64, and can be differentiated
/// any number of times. ArgumentException where the last dimension does not fit channels and depth.
[<RequireQualifiedAccess>]
module TensorAlgebra =

    /// Coordinates above which an element is refused: a batch of them would not fit into memory.
    let private largest = 1L <<< 26

    /// Number of coordinates d + ... + d^N of d channels to depth N. ArgumentOutOfRangeException unless both are positive and the
    /// number is below 2^26.
    let size (channels: int) (depth: int) : int =
        if channels < 1 then
            raise (ArgumentOutOfRangeException(nameof channels, $"A path needs at least one channel; got {channels}."))

        if depth < 1 then
            raise (ArgumentOutOfRangeException(nameof depth, $"The depth must be at least 1; got {depth}."))

        let mutable total = 0L
        let mutable power = 1L
        let mutable level = 0

        while level < depth do
            level <- level + 1
            power <- power * int64 channels
            total <- total + power

            if total > largest then
                raise (
                    ArgumentOutOfRangeException(
                        nameof depth,
                        $"{channels} channels to depth {depth} have more than {largest} coordinates; take a smaller depth (1 to 4 is usual) or fewer channels."
                    )
                )

        int total

    let private check (name: string) (channels: int) (depth: int) (x: Tensor) =
        let expected = size channels depth

        if isNull x then
            raise (ArgumentNullException name)

        if x.dim () < 1L || x.shape[x.shape.Length - 1] <> int64 expected then
            raise (
                ArgumentException(
                    $"{channels} channels to depth {depth} have {expected} coordinates in the last dimension; the shape is {Tensors.shapeText x}.",
                    name
                )
            )

    let private map (channels: int) (depth: int) (x: Tensor) (f: Tensor[] -> Tensor[]) : Tensor =
        check (nameof x) channels depth x
        use _ = torch.NewDisposeScope()
        (Levels.split channels depth x |> f |> Levels.join).MoveToOuterDisposeScope()

    /// The coordinates of (1 + a)(1 + b). For signatures of consecutive paths: the signature of one after the other (Chen's identity).
    let multiply (channels: int) (depth: int) (a: Tensor) (b: Tensor) : Tensor =
        check (nameof a) channels depth a
        check (nameof b) channels depth b
        use _ = torch.NewDisposeScope()
        let product = Levels.multiply (Levels.split channels depth a) (Levels.split channels depth b)
        (Levels.join product).MoveToOuterDisposeScope()

    /// The coordinates of 1/(1 + x). For a signature: the signature of the path run backward.
    let inverse (channels: int) (depth: int) (x: Tensor) : Tensor = map channels depth x Levels.inverse

    /// The coordinates of exp x without the 1; x has no scalar part.
    let exp (channels: int) (depth: int) (x: Tensor) : Tensor = map channels depth x Levels.exp

    /// The coordinates of log (1 + x).
    let log (channels: int) (depth: int) (x: Tensor) : Tensor = map channels depth x Levels.log

    /// Products of the first 1, 2, ..., W factors of x, of shape (..., W, size): signatures of windows to signatures from the start
    /// to the end of each window. Costs one product a factor; no loop over them.
    let scan (channels: int) (depth: int) (x: Tensor) : Tensor =
        check (nameof x) channels depth x

        if x.dim () < 2L then
            raise (
                ArgumentException
                    $"A scan needs a dimension to run along: (..., factors, coordinates); the shape is {Tensors.shapeText x}."
            )

        map channels depth x (Levels.scan)

namespace Continuum.Properties

open System
open System.Numerics
open Continuum
open TorchSharp

/// The laws of signatures, tried on paths (..., points, channels) in float64 of your own.
[<RequireQualifiedAccess>]
module SignatureLaws =

    let private largest (x: Tensor) =
        use top = x.detach().abs().max()
        top.ToDouble()

    /// The largest difference relative to the largest entry (at least 1).
    let private gap (a: Tensor) (b: Tensor) =
        use difference = a.sub b
        largest difference / max 1.0 (largest b)

    let private law name allowed found : LawResult = {
        Law = name
        Holds = found <= allowed
        Detail = $"relative gap %.1e{found}, allowed %.1e{allowed}"
    }

    let private points (path: Tensor) = path.shape[path.shape.Length - 2]
    let private channels (path: Tensor) = int path.shape[path.shape.Length - 1]
    let private part (path: Tensor) (first: int64) (count: int64) = path.narrow (-2L, first, count)

    /// Chen's identity for a signature of your own, from (..., points, channels) to (..., words) in the order of Words.all: that of a path is
    /// the product of those of its two parts, wherever it is cut.
    let chenOf (signature: Tensor -> Tensor) (depth: int) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let n = points path
        let whole = signature path

        let worst =
            seq { 0L .. n - 1L }
            |> Seq.map (fun cut ->
                let left = signature (part path 0L (cut + 1L))
                let right = signature (part path cut (n - cut))
                gap (TensorAlgebra.multiply (channels path) depth left right) whole)
            |> Seq.max

        law $"Chen's identity to depth {depth}" 1e-12 worst

    /// Chen's identity: the signature of a path is the product of those of its two parts, wherever it is cut.
    let chen (depth: int) (path: Tensor) : LawResult = chenOf (Signature.ofPath depth) depth path

    /// All ways to interleave two words.
    let rec private shuffles (u: int list) (v: int list) : int list list =
        match u, v with
        | [], w
        | w, [] -> [ w ]
        | a :: u', b :: v' -> List.map (fun w -> a :: w) (shuffles u' v) @ List.map (fun w -> b :: w) (shuffles u v')

    /// The shuffle identity for a signature of your own: the product of two coordinates is the sum of those of all shuffles of their words.
    let shuffleOf (signature: Tensor -> Tensor) (depth: int) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let d = channels path
        let words = Words.all d depth
        let place = words |> Array.mapi (fun i word -> List.ofArray word, i) |> dict
        let flat = signature path
        let values = flat.reshape ([| -1L; int64 words.Length |])
        let rows = int values.shape[0]
        let all = Tensors.toArray values
        let scale = max 1.0 (largest flat)

        let worst =
            seq {
                for u in words do
                    for v in words do
                        if u.Length + v.Length <= depth then
                            let mixed = shuffles (List.ofArray u) (List.ofArray v) |> List.map (fun w -> place[w])
                            let i, j = place[List.ofArray u], place[List.ofArray v]

                            for row in 0 .. rows - 1 do
                                let at k = all[row * words.Length + k]
                                abs (at i * at j - List.sumBy at mixed) / (scale * scale)
            }
            |> Seq.fold max 0.0

        law $"the shuffle identity to depth {depth}" 1e-12 worst

    /// The product of two coordinates is the sum of the coordinates of all shuffles of their words.
    let shuffle (depth: int) (path: Tensor) : LawResult = shuffleOf (Signature.ofPath depth) depth path

    /// Cutting every segment into three pieces of unequal length, and waiting, does not change features of your own.
    let reparameterisationOf (features: Tensor -> Tensor) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let n = points path - 1L
        let left, right = part path 0L n, part path 1L n
        let at (w: float) = left.add (right.sub(left).mul(w.ToScalar()))
        let finer = torch.stack([| left; left; at 0.2; at 0.9 |], -2L).flatten(-3L, -2L)
        let finer = torch.cat ([| finer; part path n 1L; part path n 1L |], -2L)

        law "cutting segments and waiting change nothing" 1e-12 (gap (features finer) (features path))

    /// Cutting every segment into three pieces of unequal length, and waiting, changes nothing.
    let reparameterisation (depth: int) (path: Tensor) : LawResult = reparameterisationOf (Signature.ofPath depth) path

    /// Adding a constant vector to the path does not change features of your own.
    let translationOf (features: Tensor -> Tensor) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let shift = torch.arange(path.shape[path.shape.Length - 1], dtype = path.dtype).sub((1.5).ToScalar())
        law "where a path starts does not matter" 1e-11 (gap (features (path.add shift)) (features path))

    /// Adding a constant vector to the path changes nothing.
    let translation (depth: int) (path: Tensor) : LawResult = translationOf (Signature.ofPath depth) path

    let private reversed (path: Tensor) = path.flip [| -2L |]

    /// The path backward has the inverse signature and minus the log-signature.
    let reversal (depth: int) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let backward = Signature.ofPath depth (reversed path)
        let inverse = TensorAlgebra.inverse (channels path) depth (Signature.ofPath depth path)
        let logs = gap (Signature.logOfPath depth (reversed path)) ((Signature.logOfPath depth path).neg())
        law $"a path backward has the inverse signature, to depth {depth}" 1e-11 (max (gap backward inverse) logs)

    /// Going somewhere and back the same way does not change features of your own, which are 0 for paths that end so.
    let treeLikeOf (features: Tensor -> Tensor) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let n = points path
        let there = torch.cat ([| path; reversed path |], -2L)
        let middle = n / 2L
        let excursion = (part path 0L n).sub(part path 0L 1L).mul((0.7).ToScalar()).add(part path middle 1L)

        let detour =
            torch.cat (
                [| part path 0L (middle + 1L); excursion; reversed excursion; part path middle (n - middle) |],
                -2L
            )

        let nothing = largest (features there)
        let same = gap (features detour) (features path)
        law "ways there and back leave no trace" 1e-10 (max nothing same)

    /// Going somewhere and back the same way changes nothing: at the end, and in the middle of the path.
    let treeLike (depth: int) (path: Tensor) : LawResult = treeLikeOf (Signature.ofPath depth) path

    /// exp and log are inverse to each other, and so are the maps between a Lie element, its words and its brackets; a path and its
    /// log-signature's exponential have one signature.
    let logarithm (depth: int) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let d = channels path
        let basis = LyndonBasis.Create(d, depth)
        let signature = Signature.ofPath depth path
        let expanded = TensorAlgebra.log d depth signature
        let brackets = basis.Project expanded

        let gaps = [
            gap (TensorAlgebra.exp d depth expanded) signature
            gap (Signature.ofLog d depth brackets) signature
            gap (basis.Expand brackets) expanded
            gap (basis.WordsOfBrackets brackets) (basis.WordsOf expanded)
            gap (basis.BracketsOfWords(basis.WordsOf expanded)) brackets
            gap (Signature.logOfPath depth path) brackets
            gap (Signature.toLog d depth signature) brackets
        ]

        law $"exponential, logarithm and Lyndon coordinates to depth {depth}" 1e-10 (List.max gaps)

    /// There are as many Lyndon words of each length as Witt's formula says, their brackets are triangular over them, and a log-signature has a
    /// coordinate for each.
    let dimensions (channels: int) (depth: int) : LawResult =
        let words = Words.lyndon channels depth
        let counts = Array.init depth (fun k -> words |> Seq.filter (fun w -> w.Length = k + 1) |> Seq.length)
        let witt = Array.init depth (fun k -> Words.witt channels (k + 1))

        let smallerThanSuffixes (w: int[]) =
            Seq.forall (fun i -> compare (List.ofArray w) (List.ofArray w[i..]) < 0) (seq { 1 .. w.Length - 1 })

        let size = Signature.logSize channels depth

        {
            Law = $"Lyndon words of {channels} letters to depth {depth} are counted by Witt's formula"
            Holds =
                counts = witt
                && Array.forall smallerThanSuffixes words
                && words.Length = size
                && (Array.distinct words).Length = size
            Detail = sprintf "found %A, formula %A" counts witt
        }

    /// A signature of your own of a straight line: products of increments over k!.
    let straightLineOf (signature: Tensor -> Tensor) (depth: int) (increment: float[]) : LawResult =
        use _ = torch.NewDisposeScope()
        let d = increment.Length
        let zero = Array.zeroCreate<float> d
        let path = [| zero; Array.map (fun x -> 0.3 * x) increment; increment |]
        let factorial n = Seq.fold (fun p i -> p * float i) 1.0 (seq { 1..n })

        let exact =
            Words.all d depth
            |> Array.map (fun w -> (w |> Array.fold (fun p letter -> p * increment[letter]) 1.0) / factorial w.Length)

        law
            $"a straight line to depth {depth}"
            1e-13
            (gap
                (signature (Tensors.ofArray (Array.concat path) [| 3L; int64 d |] torch.float64 torch.CPU))
                (Tensors.vector exact))

    /// The signature of a straight line: products of increments over k!.
    let straightLine (depth: int) (increment: float[]) : LawResult =
        straightLineOf
            (fun path ->
                let points = Tensors.toArray path |> Array.chunkBySize increment.Length

                Tensors.vector (Signature.ofArray depth points))
            depth
            increment

    /// A regular polygon of n corners, run once counter-clockwise: its log-signature is zero but for the area n/2 sin(2 pi/n) on level 2,
    /// which for many corners is the circle's pi.
    let polygonArea (corners: int) : LawResult =
        let at k = [| cos (2.0 * Math.PI * float k / float corners); sin (2.0 * Math.PI * float k / float corners) |]
        let found = Signature.logOfArray 2 (Array.init (corners + 1) at)
        let exact = [| 0.0; 0.0; 0.5 * float corners * sin (2.0 * Math.PI / float corners) |]

        law
            $"the area of a polygon of {corners} corners"
            1e-12
            (Array.map2 (fun a b -> abs (a - b)) found exact |> Array.max)

    /// Rational numbers, to compute signatures without rounding.
    [<Struct>]
    type private Fraction = { Top: BigInteger; Bottom: BigInteger }

    let private fraction (top: BigInteger) (bottom: BigInteger) =
        let common = BigInteger.GreatestCommonDivisor(top, bottom)
        { Top = top / common; Bottom = bottom / common }

    let private plus a b = fraction (a.Top * b.Bottom + b.Top * a.Bottom) (a.Bottom * b.Bottom)
    let private times a b = fraction (a.Top * b.Top) (a.Bottom * b.Bottom)

    /// The signature of the polygon through (k, k^2), k = 0..n, in exact arithmetic by the definition: the increments' products over ascending
    /// segments, those that share one over the factorial of how many do.
    let private exactParabola (n: int) (word: int[]) : float =
        let step k letter = if letter = 0 then BigInteger.One else BigInteger(2 * k + 1)
        let zero = fraction BigInteger.Zero BigInteger.One
        let one = fraction BigInteger.One BigInteger.One

        // value[i]: the coordinate of the first i letters so far.
        let advance (value: Fraction[]) k =
            Array.init value.Length (fun i ->
                let mutable sum = zero

                for from in 0..i do
                    let mutable term = value[from]

                    for j in from .. i - 1 do
                        term <- times term (fraction (step k word[j]) (BigInteger(j - from + 1)))

                    sum <- plus sum term

                sum)

        let start = Array.init (word.Length + 1) (fun i -> if i = 0 then one else zero)
        let final = Seq.fold advance start (seq { 0 .. n - 1 })
        let last = final[word.Length]
        float last.Top / float last.Bottom

    /// A polygon along a parabola against rational arithmetic.
    let parabola (depth: int) (segments: int) : LawResult =
        use _ = torch.NewDisposeScope()
        let found = Signature.ofArray depth (Array.init (segments + 1) (fun k -> [| float k; float (k * k) |]))
        let exact = Words.all 2 depth |> Array.map (exactParabola segments)
        let worst = Array.map2 (fun a b -> abs (a - b) / max 1.0 (abs b)) found exact |> Array.max
        law $"a parabola's polygon against exact arithmetic, to depth {depth}" 1e-12 worst

    /// Windows, prefixes and scans agree with signatures of the parts of the path, and compose to the whole.
    let windows (depth: int) (length: int) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let n = int (points path)
        let d = channels path

        let against windows =
            let found = SignatureWindows.signature depth windows path
            let logs = SignatureWindows.logSignature depth windows path

            SignatureWindows.bounds windows n
            |> Array.mapi (fun i struct (first, last) ->
                let piece = part path (int64 first) (int64 last - int64 first + 1L)

                max
                    (gap (found.select (-2L, int64 i)) (Signature.ofPath depth piece))
                    (gap (logs.select (-2L, int64 i)) (Signature.logOfPath depth piece)))
            |> Array.max

        let every = SignatureWindows.signature depth (Windows.Every length) path
        let scanned = TensorAlgebra.scan d depth every
        let stream = Signature.stream depth path

        let ends =
            Array.init (int every.shape[every.shape.Length - 2]) (fun w -> min (n - 1) ((w + 1) * length))

        let streamed =
            ends
            |> Array.mapi (fun w i -> gap (scanned.select (-2L, int64 w)) (stream.select (-2L, int64 i)))
            |> Array.max

        let whole = gap (stream.select (-2L, int64 n - 1L)) (Signature.ofPath depth path)

        let all = [
            against Windows.Whole
            against (Windows.Every length)
            against (Windows.Expanding length)
            against (Windows.Sliding(length, 2))
            streamed
            whole
        ]

        law $"windows of {length} segments compose to the whole, to depth {depth}" 1e-11 (List.max all)

    /// Windows between times that were not observed: cutting the path there by hand gives the same.
    let windowsBetween (depth: int) (observed: float[]) (cut: float) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let n = observed.Length
        let right = observed |> Array.findIndex (fun t -> t >= cut)
        let w = (cut - observed[right - 1]) / (observed[right] - observed[right - 1])
        let from = part path (int64 right - 1L) 1L
        let at = from.add ((part path (int64 right) 1L).sub(from).mul(w.ToScalar()))
        let first = torch.cat ([| part path 0L (int64 right); at |], -2L)
        let second = torch.cat ([| at; part path (int64 right) (int64 (n - right)) |], -2L)
        let bounds = [| observed[0]; cut; observed[n - 1] |]
        let found = SignatureWindows.logSignature depth (Windows.Between(observed, bounds)) path
        let one = gap (found.select (-2L, 0L)) (Signature.logOfPath depth first)
        let two = gap (found.select (-2L, 1L)) (Signature.logOfPath depth second)
        law $"windows between times, to depth {depth}" 1e-11 (max one two)

    /// Each path of a batch has the features of your own that it has alone.
    let batchOf (features: Tensor -> Tensor) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let together = features path

        let worst =
            seq { 0L .. path.shape[0] - 1L }
            |> Seq.map (fun b -> gap ((features (path.narrow (0L, b, 1L))).select(0L, 0L)) (together.select (0L, b)))
            |> Seq.max

        law "a batch is its paths" 1e-13 worst

    /// Each path of a batch has the signature that it has alone.
    let batch (depth: int) (path: Tensor) : LawResult = batchOf (Signature.ofPath depth) path

    /// A function of a path's log-signatures and signatures for gradients: different weights for all coordinates.
    let private loss (depth: int) (path: Tensor) : Tensor =
        let signature = Signature.ofPath depth path
        let logs = SignatureWindows.logSignature depth (Windows.Every 2) path
        let stream = Signature.logStream depth path

        let weigh (x: Tensor) (phase: float) =
            let weights =
                torch.arange(x.numel (), dtype = x.dtype).mul((0.7).ToScalar()).add(phase.ToScalar()).cos()

            x.flatten().mul(weights).sum()

        (weigh signature 0.3).add(weigh logs 1.1).add(weigh stream 2.0)

    /// Gradients of signatures, log-signatures, streams and windows against central differences, and second derivatives against differences
    /// of gradients, in a direction.
    let gradients (depth: int) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()

        let direction =
            torch.arange(path.numel (), dtype = path.dtype).mul((1.3).ToScalar()).sin().reshape path.shape

        let step = 1e-5
        let moved (h: float) = path.detach().add(direction.mul (h.ToScalar())).requires_grad_ true

        let gradientAt (h: float) =
            let x = moved h
            let y = loss depth x
            struct (y.ToDouble(), (Autograd.vjp [| y |] [| x |] [| torch.ones_like y |])[0])

        let x = moved 0.0
        let y = loss depth x
        let gradient = (Autograd.vjpGraph [| y |] [| x |] [| torch.ones_like y |])[0]
        let slope = gradient.mul(direction).sum()
        let curvature = (Autograd.vjp [| slope |] [| x |] [| torch.ones_like slope |])[0]
        let struct (above, gradientAbove) = gradientAt step
        let struct (below, gradientBelow) = gradientAt -step
        let difference = (above - below) / (2.0 * step)
        let first = abs (slope.ToDouble() - difference) / max 1.0 (abs difference)
        let second = gap curvature (gradientAbove.sub(gradientBelow).div((2.0 * step).ToScalar()))
        law $"first and second derivatives to depth {depth}" 1e-7 (max first second)

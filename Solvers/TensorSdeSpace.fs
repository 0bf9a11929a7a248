// Stochastic equations on tensors: evaluation of drift and diffusion with checks, the arithmetic of steps, derivatives of the diffusion.
namespace Continuum

open System
open TorchSharp

/// The terms of an equation evaluated for one solve: makes time tensors, checks what comes back. For one thread.
[<Sealed>]
type internal SdeTermsAt(terms: SdeTerms) =
    let mutable time: Tensor = null
    let mutable at = nan

    let show (x: Tensor) = if isNull x then "null" else $"{Tensors.shapeText x} {x.dtype} on {x.device}"

    let rec sameExtents (a: Tensor) (b: Tensor) (count: int64) =
        count = 0L
        || (a.size (int (count - 1L)) = b.size (int (count - 1L)) && sameExtents a b (count - 1L))

    let sameShape (a: Tensor) (b: Tensor) = a.dim () = b.dim () && sameExtents a b (a.dim ())

    let sameKind (y: Tensor) (x: Tensor) = not (isNull x) && x.dtype = y.dtype && x.device_type = y.device_type

    let refuseDiffusion (y: Tensor) (g: Tensor) =
        let m = terms.NoiseSizeFor y
        let n = y.shape[y.shape.Length - 1]
        let kind = terms.Noise.ToString().ToLowerInvariant()

        let expected =
            match terms.Noise with
            | NoiseKind.Scalar
            | NoiseKind.Diagonal -> $"the shape of the state, {Tensors.shapeText y}"
            | NoiseKind.Additive -> $"shape [{n}, {m}] or [..., {n}, {m}]"
            | _ ->
                let batch =
                    y.shape[.. y.shape.Length - 2] |> Array.map (fun extent -> $"{extent}, ") |> String.concat ""

                $"shape [{batch}{n}, {m}]"

        raise (
            SdeShapeException
                $"For {kind} noise of {m} Brownian motions the diffusion must have {expected} with the dtype and device of the state: the state is {show y}, the diffusion returned {show g}."
        )

    /// Whether g fits in front of (n, m) after broadcasting to the batch of y.
    let fitsMatrix (y: Tensor) (g: Tensor) =
        let dims = g.dim ()
        let n = y.size (int (y.dim () - 1L))

        dims >= 2L
        && g.size (int (dims - 2L)) = n
        && g.size (int (dims - 1L)) = int64 terms.NoiseSize
        && (dims = y.dim () + 1L && sameExtents y g (dims - 2L)
            || dims = 2L && (terms.Noise = NoiseKind.Additive || y.dim () = 1L))

    /// The terms.
    member _.Terms = terms

    /// t as a tensor like y, or null for an autonomous equation; one tensor for consecutive calls with the same time.
    member _.Time(t: float, y: Tensor) : Tensor =
        if terms.Autonomous then
            null
        else
            if t <> at || isNull time || time.IsInvalid then
                time <- torch.tensor (t, dtype = y.dtype, device = y.device)
                at <- t

            time

    /// Without a graph, what the function leaves behind is freed at once: the next evaluation finds its memory still warm.
    member private _.Evaluate(f: Tensor -> Tensor -> Tensor, time: Tensor, y: Tensor) : Tensor =
        if torch.is_grad_enabled () then
            f time y
        else
            use scope = torch.NewDisposeScope()
            let value = f time y

            if not (isNull value) && scope.Contains value then
                value.MoveToOuterDisposeScope()
            else
                value

    /// f(t, y). ArgumentException unless it has the shape, dtype and device of y.
    member this.Drift(t: float, y: Tensor) : Tensor =
        let f = this.Evaluate((fun t y -> terms.Drift(t, y)), this.Time(t, y), y)

        if not (sameKind y f) || not (sameShape y f) then
            raise (
                SdeShapeException
                    $"The drift must return the shape, dtype and device of the state: the state is {show y}, the drift returned {show f}."
            )

        f

    /// g, checked against the class of noise.
    member _.Verify(y: Tensor, g: Tensor) : Tensor =
        if not (sameKind y g) || not (if terms.IsElementwise then sameShape y g else fitsMatrix y g) then
            refuseDiffusion y g

        g

    /// g(t, y). ArgumentException, naming the class of noise and both shapes, unless it has the shape that the class asks for.
    member this.Diffusion(t: float, y: Tensor) : Tensor =
        this.Verify(y, this.Evaluate((fun t y -> terms.Diffusion(t, y)), this.Time(t, y), y))

/// Derivatives of the diffusion by automatic differentiation.
[<RequireQualifiedAccess>]
module internal DiffusionCalculus =
    let private records (y: Tensor) (v: Tensor) = torch.is_grad_enabled () && (Nesting.Records y || v.requires_grad)

    let private column (x: Tensor) (l: int) = x.select (-1L, int64 l)

    /// One evaluation and a reverse sweep, with a graph of itself: diagonal noise, where g_i sees y_i alone, has its derivatives as the
    /// gradient of the sum.
    let private diagonal (g: Tensor -> Tensor) (y: Tensor) : struct (Tensor * Tensor) =
        let record = Nesting.Records y || torch.is_grad_enabled ()
        use _ = torch.NewDisposeScope()
        use _ = torch.enable_grad ()
        let own = Autograd.pointOf record y
        let value = Nesting.Apply g own

        let slope =
            if not value.requires_grad then
                torch.zeros_like y
            else
                let vjp = if record then Autograd.vjpGraph else Autograd.vjp
                (vjp [| value |] [| own |] [| torch.ones_like value |])[0]

        struct (Autograd.keep record value, Autograd.keep record slope)

    /// One evaluation, one reverse sweep with a cotangent that is a variable, and a sweep for each column: J v = d(w' J)/dw v.
    let private byColumnsRecorded (g: Tensor -> Tensor) (y: Tensor) (v: Tensor) (m: int) : Tensor =
        use _ = torch.NewDisposeScope()
        let own = Autograd.pointOf true y
        let value = Nesting.Apply g own

        let sum =
            if not value.requires_grad then
                torch.zeros_like y
            else
                let w = torch.zeros_like(value).requires_grad_ true
                let pulled = Autograd.vjpGraph [| value |] [| own |] [| w |]

                if not pulled[0].requires_grad then
                    torch.zeros_like y
                else
                    Seq.init m (fun l ->
                        let pushed = Autograd.vjpGraph pulled [| w |] [| (column v l).expand_as y |]
                        column pushed[0] l)
                    |> Seq.reduce (fun a b -> a.add b)

        sum.expand_as(y).alias().MoveToOuterDisposeScope()

    let private byColumns (g: Tensor -> Tensor) (y: Tensor) (v: Tensor) (m: int) : Tensor =
        use _ = torch.NewDisposeScope()

        let sum =
            Seq.init m (fun l ->
                let struct (_, pushed) = Autograd.jvp g y ((column v l).expand_as(y).contiguous())
                column pushed l)
            |> Seq.reduce (fun a b -> a.add b)

        sum.MoveToOuterDisposeScope()

    /// g(t, y) and sum_kl i_kl (D g_l) g_k, from the time as a tensor (or null). i is a matrix (..., m, m), for elementwise noise one
    /// number for each component, or null for the identity.
    let along (at: SdeTermsAt) (t: Tensor) (y: Tensor) (i: Tensor) : struct (Tensor * Tensor) =
        let g (y: Tensor) = at.Verify(y, at.Terms.Diffusion(t, y))

        match at.Terms.Noise with
        | NoiseKind.Additive -> struct (g y, torch.zeros_like y)
        | NoiseKind.Diagonal ->
            let struct (value, slope) = diagonal g y
            let term = slope.mul value
            struct (value, (if isNull i then term else term.mul i))
        | NoiseKind.Scalar ->
            let value = g y
            let v = if isNull i then value else value.mul i
            let struct (_, term) = Autograd.jvp g y v
            struct (value, term)
        | _ ->
            let value = g y
            let v = if isNull i then value else Tensors.matmul value i
            let derivative = if records y v then byColumnsRecorded else byColumns
            struct (value, derivative g y v at.Terms.NoiseSize)

/// Tensors of one dtype and device as the space of a stochastic equation. Sums are written in place where gradients are off.
[<Struct>]
type internal TensorSdeSpace(at: SdeTermsAt) =
    static let one = 1.0.ToScalar()

    /// g x for a matrix g of shape (n, m) or (..., n, m).
    static member internal Product(g: Tensor, x: Tensor) : Tensor =
        if g.dim () = 2L then Tensors.matmul x (g.t ()) else Tensors.product g x

    /// The terms with their checks.
    member _.At = at

    interface ISdeCalculusSpace<Tensor, Tensor, Tensor> with
        member _.Allocate y = y
        member _.AllocateNoise() = null
        member _.AllocateDiffusion _ = null
        member _.Drift(t, y, _) = at.Drift(t, y)
        member _.Diffusion(t, y, _) = at.Diffusion(t, y)

        member _.Combine(_, y, a, f, nf, g, x, ng) =
            let recording = torch.is_grad_enabled ()
            let elementwise = at.Terms.IsElementwise
            let mutable sum = y
            let mutable fresh = false

            for j in 0 .. nf - 1 do
                if a[j] <> 0.0 then
                    use weight = a[j].ToScalar()

                    sum <-
                        if fresh && not recording then
                            sum.add_ (f[j], weight)
                        else
                            sum.add (f[j], weight)

                    fresh <- true

            for k in 0 .. ng - 1 do
                sum <-
                    if elementwise then
                        if fresh && not recording then
                            sum.addcmul_ (g[k], x[k], one)
                        else
                            sum.addcmul (g[k], x[k], one)
                    else
                        let product = TensorSdeSpace.Product(g[k], x[k])
                        if fresh && not recording then sum.add_ product else sum.add product

                fresh <- true

            if fresh then sum else y.alias ()

        member _.Zero(_, y) = torch.zeros_like y

        member _.Noise(_, c, basis, count) =
            let recording = torch.is_grad_enabled ()
            let mutable sum: Tensor = null

            for j in 0 .. count - 1 do
                if c[j] <> 0.0 then
                    use weight = c[j].ToScalar()

                    sum <-
                        if isNull sum then basis[j].mul weight
                        elif recording then sum.add (basis[j], weight)
                        else sum.add_ (basis[j], weight)

            if isNull sum then torch.zeros_like basis[0] else sum

        member _.Power(_, w, exponent) =
            match exponent with
            | 0 -> torch.ones_like w
            | 2 -> w.mul w
            | _ -> w.mul(w).mul w

        member _.Spread(_, y, g) =
            if at.Terms.IsElementwise then
                g.abs ()
            else
                g.pow(2.0).sum(-1L).sqrt().expand_as y

        member _.IsElementwise = at.Terms.IsElementwise
        member _.NoiseSize = at.Terms.NoiseSize

        member _.Iterated(_, w, a, q) =
            use half = 0.5.ToScalar()

            if at.Terms.IsElementwise then
                w.mul(w).sub(q).mul half
            else
                let product = w.unsqueeze(-1L).mul(w.unsqueeze -2L)
                let m = w.shape[w.shape.Length - 1]

                let product =
                    if q = 0.0 then
                        product
                    else
                        product.sub (torch.eye(m, dtype = w.dtype, device = w.device).mul(q))

                if isNull a then product.mul half else a.add (product, half)

        member _.WithDerivative(t, y, i, _, _) = DiffusionCalculus.along at (at.Time(t, y)) y i

        member _.Unit(_, like, k, c) =
            let unit' = torch.zeros_like like
            unit'.select(-1L, int64 k).fill_(c) |> ignore
            unit'

        member _.Row(_, matrix, k, c) = matrix.select(-2L, int64 k).mul(c)

// Drift, diffusion and path together: what the ways to differentiate a stochastic solve evaluate.
namespace Continuum

open System
open System.Runtime.CompilerServices
open TorchSharp

/// Products of diffusions with noise: elementwise, or matrices of shape (n, m) or (..., n, m).
[<Struct>]
type internal NoiseAlgebra(elementwise: bool) =
    /// One number of g for each component.
    member _.IsElementwise = elementwise

    /// target += weight g W, in place.
    member _.Add(target: Tensor, g: Tensor, w: Tensor, weight: float) =
        use weight = weight.ToScalar()

        if elementwise then
            target.addcmul_ (g, w, weight) |> ignore
        else
            target.add_ (TensorSdeSpace.Product(g, w), weight) |> ignore

    /// The cotangent of g from the cotangent `bar` of g W; shaped as g.
    member _.Pull(g: Tensor, bar: Tensor, w: Tensor) : Tensor =
        if elementwise then
            bar.mul w
        elif g.dim () = 2L then
            let rows = bar.reshape (-1L, g.shape[0])
            let shape = Array.append bar.shape[.. bar.shape.Length - 2] [| g.shape[1] |]
            rows.t().mm(w.expand(shape).reshape(-1L, g.shape[1]))
        else
            bar.unsqueeze(-1L).mul(w.unsqueeze -2L)

    /// Componentwise size of the noise.
    member _.Spread(g: Tensor, y: Tensor) : Tensor =
        if elementwise then g.abs () else g.square().sum(-1L).sqrt().expand_as y

/// The terms of an equation with the path that drives them, for states like one state. For one thread.
[<Sealed>]
type internal SdeDriver(terms: SdeTerms, path: IBrownian<Tensor>, like: Tensor) =
    let at = SdeTermsAt terms
    let mutable evaluations = 0

    let convert (x: Tensor) : Tensor =
        if isNull x || x.dtype = like.dtype && x.device_type = like.device_type then
            x
        else
            x.``to`` (like.dtype, like.device)

    /// The terms.
    member _.Terms = terms
    /// Their checked evaluation.
    member _.At = at
    /// Evaluations of drift and diffusion so far.
    member _.Evaluations = evaluations
    /// Products with noise.
    member _.Algebra = NoiseAlgebra terms.IsElementwise
    /// Noise with the dtype and device of the state.
    member _.Convert(w: Tensor) : Tensor = convert w

    /// The path over [s, t], with the dtype and device of the state.
    member _.Along(s: float, t: float) : BrownianStep<Tensor> =
        let b = path.Step(s, t)
        { W = convert b.W; H = convert b.H; K = convert b.K; A = convert b.A }

    /// The path's increments over [s, t].
    member this.Increment(s: float, t: float) : Tensor = this.Along(s, t).W

    /// The time near t at which the path is cheap.
    member _.Snap(s: float, t: float) = path.Snap(s, t)

    /// Announces the times that steps will go through.
    member _.Prepare(times: float[]) = path.Prepare times

    /// f and g at (t, y). ArgumentException for a wrong shape, dtype or device.
    member _.Evaluate(t: float, y: Tensor) : struct (Tensor * Tensor) =
        evaluations <- evaluations + 1
        struct (at.Drift(t, y), at.Diffusion(t, y))

    /// f and g at (t, z) with their graph, whose leaf z becomes: it must be fresh. The results belong to the innermost scope.
    member this.Graph(t: float, z: Tensor) : struct (Tensor * Tensor) =
        use _ = torch.enable_grad ()
        z.requires_grad <- true
        this.Evaluate(t, z)

/// What reads tensors that nobody would return a gradient for.
[<RequireQualifiedAccess>]
module internal SdeTracking =
    let private seen = ConditionalWeakTable<SdeTerms, obj>()

    /// ArgumentException when drift or diffusion reads a tensor that wants a gradient and is not among the equation's parameters: one node
    /// for the whole solve would silently return none for it. Looks once for each equation; cannot look where a parameter is not a leaf.
    let check (terms: SdeTerms) (t: float) (y: Tensor) : unit =
        if not (Untracked.isBlind terms.Parameters) && not (fst (seen.TryGetValue terms)) then
            let time () =
                if terms.Autonomous then
                    null
                else
                    torch.tensor (t, dtype = y.dtype, device = y.device)

            let demand (what: string) evaluate =
                if Untracked.reaches terms.Parameters evaluate then
                    Untracked.lost what "equation" terms.Parameters

            demand "The drift" (fun () -> terms.Drift(time (), y.detach ()))
            demand "The diffusion" (fun () -> terms.Diffusion(time (), y.detach ()))
            seen.AddOrUpdate(terms, box terms.Parameters.Length)

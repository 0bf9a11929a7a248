// Steps of an explicit tableau on directions of a path: z_i = z + sum_j a_ij F(z_j) dx_j, z' = z + sum_j b_j F(z_j) dx_j.
namespace Continuum

open System
open TorchSharp

/// One step after another. Recorded where gradients are enabled; then nothing is written in place.
[<Sealed>]
type internal CdeStepper(tableau: Tableau, nodes: CdeNodes, field: CdeField) =
    let a = tableau.Raw.A
    let b = tableau.Raw.B
    let c = tableau.Raw.C
    // A last stage without weight is the slope at the end, of the piece that ends there: no step needs it.
    let stages = 1 + Array.FindLastIndex(b, fun w -> w <> 0.0)
    let scalars (w: float[]) = w |> Array.map (fun x -> x.ToScalar())
    let aScalars = Array.map scalars a
    let bScalars = scalars b
    let k: Tensor[] = Array.zeroCreate stages
    let mutable evaluations = 0

    let combine (z: Tensor) (w: float[]) (scaled: Scalar[]) count : Tensor =
        if torch.is_grad_enabled () then
            let mutable sum = z

            for j in 0 .. count - 1 do
                if w[j] <> 0.0 then
                    sum <- if w[j] = 1.0 then sum.add k[j] else sum.add (k[j], scaled[j])

            sum
        elif HostTensors.suits z && HostTensors.allMatch z w k count then
            HostTensors.combine z 1.0 w k count
        else
            let sum = z.clone ()

            for j in 0 .. count - 1 do
                if w[j] <> 0.0 then
                    sum.add_ (k[j], scaled[j]) |> ignore

            sum

    let evaluate (t: float) (z: Tensor) (dx: Tensor) : Tensor =
        evaluations <- evaluations + 1

        if torch.is_grad_enabled () then
            field.Product(CdeField.time field t z, z, dx)
        else
            // What the field leaves behind is freed now: the next stage finds its memory still warm.
            use scope = torch.NewDisposeScope()
            let slope = field.Product(CdeField.time field t z, z, dx)
            if scope.Contains slope then slope.MoveToOuterDisposeScope() else slope

    /// Products taken so far.
    member _.Evaluations = evaluations
    /// Products in a step.
    member _.Stages = stages

    /// The state after the step from (t, z) of length h; dx holds the directions of this step, h included.
    member _.Step(t: float, h: float, z: Tensor, dx: ReadOnlySpan<Tensor>) : Tensor =
        for s in 0 .. stages - 1 do
            let state = if s = 0 then z else combine z a[s] aScalars[s] s
            k[s] <- evaluate (t + c[s] * h) state dx[nodes.OfStage[s]]

        combine z b bScalars stages

// Distances of fields, by integrals over their domain.
namespace Continuum

open System
open TorchSharp

/// How large a function is.
type FieldNorm =
    /// The square root of the integral of f^2.
    | L2
    /// With the first derivatives: the integral of f^2 + |grad f|^2. Under a mask derivatives are differences of neighbours that are both under it.
    | H1
    /// With the multiplier (1 + |2 pi k / L|^2)^(s / 2) on its modes; s may be negative or a fraction. For uniform periodic axes.
    | Sobolev of s: float

/// How the channels of a field make one number.
type ChannelRule =
    /// The norm of all channels as one vector.
    | Together = 0
    /// The mean of the channels' own distances: each counts alike, whatever its size.
    | Mean = 1

/// What a distance is made of.
type LossOptions = {
    /// Whether to divide by the norm of the truth.
    Relative: bool
    /// How the channels make one number.
    Channels: ChannelRule
    /// The least root mean square that a relative distance divides by: a truth of zero gives a large and finite number.
    Floor: float
    /// What the weights of the quadrature are multiplied by: one channel at the points of the fields, for each sample or for all.
    Mask: Field option
    /// Weights of the samples in their mean; all alike if none are given.
    SampleWeights: float[] option
} with

    /// Relative, channels together, floor 1e-6, no mask, samples alike.
    static member Default = {
        Relative = true
        Channels = ChannelRule.Together
        Floor = 1e-6
        Mask = None
        SampleWeights = None
    }

/// Distances of a prediction and the truth at the same points. Each is an integral by the points' quadrature, so that finer points change
/// its accuracy and not its meaning. `..s` gives one number for each sample, (batch); the form without it their weighted mean, without axes.
/// Gradients flow; a distance of zero has the gradient zero.
[<RequireQualifiedAccess>]
module OperatorLosses =

    let private bad (text: string) = raise (ArgumentException text)

    let internal moved (make: unit -> Tensor) : Tensor =
        NativeLibraries.ensure ()
        use _ = torch.NewDisposeScope()
        (make ()).MoveToOuterDisposeScope()

    let internal same (a: Discretisation) (b: Discretisation) = Object.ReferenceEquals(a, b) || a.Equals b

    let private checkMask (mask: Field option) (field: Field) =
        match mask with
        | Some mask when
            not (same mask.Discretisation field.Discretisation)
            || mask.Channels <> 1
            || (mask.Batch <> 1L && mask.Batch <> field.Batch)
            ->
            bad
                $"The mask is {mask}; it must be one channel at the points of the fields, for one sample or {field.Batch}: {field.Discretisation}."
        | _ -> ()

    let internal checkOptions (options: LossOptions) (field: Field) =
        checkMask options.Mask field

        if not (Double.IsFinite options.Floor && options.Floor > 0.0) then
            bad $"The floor is {options.Floor}; it must be positive and finite."

        match options.SampleWeights with
        | Some w when w.LongLength <> field.Batch ->
            bad $"There are {field.Batch} samples and {w.Length} sample weights; give one for each sample."
        | Some w when w |> Array.exists (fun w -> not (Double.IsFinite w && w >= 0.0)) || Array.sum w <= 0.0 ->
            bad "Sample weights must be finite and not negative, and some positive."
        | _ -> ()

    let private checkPair (options: LossOptions) (prediction: Field) (truth: Field) =
        ArgumentNullException.ThrowIfNull(prediction, nameof prediction)
        ArgumentNullException.ThrowIfNull(truth, nameof truth)

        if not (same prediction.Discretisation truth.Discretisation) then
            bad
                $"The prediction is given at {prediction.Discretisation} and the truth at {truth.Discretisation}; resample one of them."

        if prediction.Values.shape <> truth.Values.shape || prediction.Values.dtype <> truth.Values.dtype then
            let text (field: Field) = $"{Tensors.shapeText field.Values} {field.Values.dtype}"
            bad $"The prediction is {text prediction} and the truth {text truth}; shapes and dtypes must be equal."

        checkOptions options prediction

    /// The square root, of zero with the gradient zero.
    let private root (x: Tensor) =
        let tiny = if x.dtype = torch.float64 then 1e-300 else 1e-37
        use least = tiny.ToScalar()
        x.clamp_min(least).sqrt().mul(x.gt(tiny).``to`` x.dtype)

    /// The sum over the axes of the points: (batch, channels).
    let private overPoints (x: Tensor) = x.flatten(2L, -1L).sum [| 2L |]

    /// A mask as a factor of these values.
    let internal ofMask (values: Tensor) (mask: Tensor) : Tensor = mask.``to`` (values.dtype, values.device)

    /// Values where the mask is not zero, and zero elsewhere, whatever stands there: also the gradient is zero there.
    let internal inside (mask: Tensor) (values: Tensor) : Tensor =
        torch.where (mask.gt 0.0, values, torch.zeros_like values)

    let private squaredL2 (mask: Field option) (field: Field) : Tensor =
        let w = FieldValues.weights field

        match mask with
        | Some mask ->
            let m = ofMask field.Values mask.Values
            overPoints ((inside m field.Values).square().mul(w).mul m)
        | None -> overPoints (field.Values.square().mul w)

    let private needFourier (what: string) (mask: Field option) (field: Field) =
        if not (field.Discretisation.IsProduct && field.Discretisation.Axes |> Array.forall SpectralResampling.has) then
            bad
                $"{what} needs uniform points on periodic axes; the fields are given at {field.Discretisation}. Take L2 or H1, or resample."

        if mask.IsSome then
            bad $"{what} takes no mask, since modes have no place; multiply the fields by the mask, or take L2 or H1."

    /// The numbers k of the modes of each axis, in the order of the transform and a shape that broadcasts against (axes).
    let private modeNumbers (field: Field) : float[][] =
        field.Discretisation.Axes
        |> Array.map (fun points ->
            let n = points.Count
            Array.init n (fun i -> float (if i <= n / 2 then i else i - n)))

    /// One number for each mode, flat and row-major, from the numbers k of the axes.
    let private ofModes (f: float[] -> float) (field: Field) : float[] =
        modeNumbers field
        |> Array.fold
            (fun (waves: float[][]) own -> [|
                for w in waves do
                    for k in own -> Array.append w [| k |]
            |])
            [| [||] |]
        |> Array.map f

    /// The integral of each mode's square, (batch, channels, modes).
    let private spectrum (field: Field) : Tensor =
        let dims = Array.init field.Domain.Dimension (fun i -> int64 (i + 2))
        let modes = torch.fft.fftn (field.Values, dim = dims, norm = FFTNormType.Forward)
        (modes.real.square().add(modes.imag.square ())).flatten(2L, -1L).mul field.Domain.Volume

    let private squaredSobolev (s: float) (field: Field) : Tensor =
        let lengths = field.Domain.Axes |> Array.map _.Length

        let factor (k: float[]) =
            let size = Array.map2 (fun k l -> 2.0 * Math.PI * k / l) k lengths |> Array.sumBy (fun w -> w * w)
            Math.Pow(1.0 + size, s)

        let factors = ofModes factor field
        let f = Tensors.ofArray factors [| factors.LongLength |] field.Values.dtype field.Values.device
        (spectrum field).mul(f).sum [| 2L |]

    /// The integral of |grad f|^2 where a mask is: at each point the mean of the squared slopes to its neighbours under the mask, one or two along each axis. What
    /// stands elsewhere is not looked at.
    let private squaredSlopes (mask: Field) (field: Field) : Tensor =
        let points = field.Discretisation

        if not points.IsProduct then
            bad $"H1 needs a product of axes; the fields are given at {points}. Take L2."

        let m = ofMask field.Values mask.Values
        let x = inside m field.Values
        let isIn = m.gt(0.0).``to`` x.dtype

        let along (i: int) =
            let axis = points.Axes[i]
            let n = int64 axis.Count
            let dim = int64 i + 2L
            let isPeriodic = axis.Axis.Boundary = Boundary.Periodic
            let here (t: Tensor) = if isPeriodic then t else t.narrow (dim, 0L, n - 1L)
            let next (t: Tensor) = if isPeriodic then t.roll (-1L, dim) else t.narrow (dim, 1L, n - 1L)
            let at = axis.Coordinates

            let steps = [|
                for a, b in Array.pairwise at do
                    yield 1.0 / (b - a)

                if isPeriodic then
                    yield 1.0 / (at[0] + axis.Axis.Length - at[at.Length - 1])
            |]

            // To each point that of the gap before it and that of the gap behind it.
            let bothSides (gaps: Tensor) =
                if isPeriodic then
                    gaps.add (gaps.roll (1L, dim))
                else
                    let none = torch.zeros_like (gaps.narrow (dim, 0L, 1L))
                    (torch.cat ([| gaps; none |], dim)).add(torch.cat ([| none; gaps |], dim))

            let known = (here isIn).mul(next isIn)
            let slopes = (next x).sub(here x).mul(TrigonometricTransforms.row steps dim x)
            use one = (1.0).ToScalar()
            let count = (bothSides known).clamp_min one
            (bothSides (slopes.square().mul known)).div count

        let w = FieldValues.weights field

        Array.init points.Axes.Length id
        |> Array.filter (fun i -> points.Axes[i].Count > 1)
        |> Array.fold
            (fun (sum: Tensor) i -> sum.add (overPoints ((along i).mul(w).mul m)))
            (torch.zeros_like (overPoints x))

    let private squared (norm: FieldNorm) (mask: Field option) (field: Field) : Tensor =
        match norm with
        | L2 -> squaredL2 mask field
        | H1 when mask.IsSome -> (squaredL2 mask field).add(squaredSlopes mask.Value field)
        | H1 ->
            (squaredL2 mask field)
                .add(
                    squaredL2 mask (GridCalculus.gradient field)
                    |> fun g -> g.reshape([| field.Batch; int64 field.Channels; -1L |]).sum [| 2L |]
                )
        | Sobolev s ->
            needFourier $"A Sobolev norm" mask field
            squaredSobolev s field

    /// Distances of each sample from the squares (batch, channels, ..) of the difference and of the truth.
    let internal ratio (options: LossOptions) (volume: float) (difference: Tensor) (truth: Tensor option) : Tensor =
        let reduce (x: Tensor) =
            if options.Channels = ChannelRule.Together then
                root (x.sum ([| 1L |], keepdim = true))
            else
                root x

        let above = reduce difference

        let each =
            match truth with
            | Some truth when options.Relative ->
                use floor = (options.Floor * sqrt volume).ToScalar()
                above.div ((reduce truth).clamp_min floor)
            | _ -> above

        each.mean [| 1L |]

    let internal mean (options: LossOptions) (samples: Tensor) : Tensor =
        match options.SampleWeights with
        | None -> samples.mean ()
        | Some w ->
            let total = Array.sum w
            let shares = w |> Array.map (fun w -> w / total)
            samples.mul(Tensors.ofArray shares [| shares.LongLength |] samples.dtype samples.device).sum()

    /// The difference of two fields.
    let private minus (a: Field) (b: Field) = a.With(a.Values.sub b.Values)

    /// The distance of each sample in a norm. ArgumentException for fields at other points or of another shape or dtype, for a mask that
    /// does not fit, a floor that is not positive, and what the norm refuses: H1 needs a product of axes, Sobolev uniform periodic ones.
    let distances (norm: FieldNorm) (options: LossOptions) (prediction: Field) (truth: Field) : Tensor =
        checkPair options prediction truth

        moved (fun () ->
            let difference = squared norm options.Mask (minus prediction truth)
            let size = if options.Relative then Some(squared norm options.Mask truth) else None
            ratio options prediction.Domain.Volume difference size)

    /// The mean distance in a norm. ArgumentException as `distances`.
    let distance (norm: FieldNorm) (options: LossOptions) (prediction: Field) (truth: Field) : Tensor =
        moved (fun () -> mean options (distances norm options prediction truth))

    let internal checkEdges (edges: float[]) =
        ArgumentNullException.ThrowIfNull(edges, nameof edges)

        if
            edges.Length < 2
            || edges |> Array.pairwise |> Array.exists (fun (a, b) -> not (b > a))
            || not (edges[0] >= 0.0)
        then
            let text = String.Join(", ", edges)
            bad $"Bands need two or more rising edges from zero up; got [{text}]."

    /// The L2 distance of each sample within bands of modes, (batch, bands): band i has the modes with edges[i] <= |k| < edges[i + 1], where
    /// k counts the waves along each axis (k = 3: three in its length) and the last edge may be infinite. Relative ones divide by the truth
    /// within the band, at least the floor; a band without modes has distance zero. ArgumentException as `distances`, for edges that do not
    /// rise, and for fields that are not on uniform periodic axes.
    let bandDistances (edges: float[]) (options: LossOptions) (prediction: Field) (truth: Field) : Tensor =
        checkPair options prediction truth
        checkEdges edges
        needFourier "A distance by bands" options.Mask prediction

        moved (fun () ->
            let bands = edges.Length - 1
            let sizes = ofModes (fun k -> sqrt (Array.sumBy (fun k -> k * k) k)) prediction

            let inside = [|
                for size in sizes do
                    for i in 0 .. bands - 1 -> if size >= edges[i] && size < edges[i + 1] then 1.0 else 0.0
            |]

            let shape = [| sizes.LongLength; int64 bands |]
            let members = Tensors.ofArray inside shape prediction.Values.dtype prediction.Values.device
            let energy (field: Field) = Tensors.matmul (spectrum field) members
            ratio options prediction.Domain.Volume (energy (minus prediction truth)) (Some(energy truth)))

    /// The mean of the bands' distances. ArgumentException as `bandDistances`.
    let bandDistance (edges: float[]) (options: LossOptions) (prediction: Field) (truth: Field) : Tensor =
        moved (fun () -> mean options ((bandDistances edges options prediction truth).mean [| 1L |]))

    /// The root mean square of each sample of a field, all channels together, with the mask of the options: of residuals of equations.
    /// ArgumentException for a mask or sample weights that do not fit.
    let sizes (options: LossOptions) (field: Field) : Tensor =
        ArgumentNullException.ThrowIfNull(field, nameof field)
        checkOptions options field

        moved (fun () ->
            let total = squaredL2 options.Mask field
            (root (total.sum [| 1L |])).div(sqrt field.Domain.Volume))

    /// The mean of `sizes`.
    let size (options: LossOptions) (field: Field) : Tensor = moved (fun () -> mean options (sizes options field))

    /// The root mean square of the divergence of a vector field, of each sample. ArgumentException as `GridCalculus.divergence`.
    let divergences (options: LossOptions) (prediction: Field) : Tensor =
        moved (fun () -> sizes options (GridCalculus.divergence prediction))

    /// The mean of `divergences`.
    let divergence (options: LossOptions) (prediction: Field) : Tensor =
        moved (fun () -> mean options (divergences options prediction))

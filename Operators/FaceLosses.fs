// Distances at the ends of axes: boundary and initial values.
namespace Continuum

open System
open TorchSharp

/// Distances of a prediction from given values at ends of its axes, by integrals over these faces.
///
/// The values at an end are those of the point there, or are continued to it from the four nearest points (order 4).
[<RequireQualifiedAccess>]
module FaceLosses =

    let private bad (text: string) = raise (ArgumentException text)

    /// The values at an end of an axis, without that axis.
    let private trace (axis: int) (atEnd: bool) (field: Field) : Tensor =
        let points = field.Discretisation.Axes[axis]
        let x = field.Values
        let dim = int64 (axis + 2)
        let place = if atEnd then points.Axis.End else points.Axis.Start
        let outermost = if atEnd then points.Count - 1 else 0

        if points.X[outermost] = place then
            x.select (dim, int64 outermost)
        else
            let row = LocalPolynomials.matrix points 0 4 [| place |]
            x.mul(TrigonometricTransforms.row row dim x).sum [| dim |]

    /// The mask of the outermost points at an end.
    let private faceMask (axis: int) (atEnd: bool) (mask: Field) : Tensor =
        let last = mask.Values.shape[axis + 2] - 1L
        mask.Values.select (int64 (axis + 2), (if atEnd then last else 0L))

    /// The weights of the quadrature on a face: those of the other axes.
    let private faceWeights (axis: int) (field: Field) : Tensor =
        let others = field.Discretisation.Axes |> Array.indexed |> Array.filter (fun (i, _) -> i <> axis)

        others
        |> Array.map (fun (_, a) -> Tensors.ofArray a.W [| int64 a.Count |] field.Values.dtype field.Values.device)
        |> Array.fold
            (fun product w -> product.unsqueeze(-1L).mul w)
            (torch.ones ([||], dtype = field.Values.dtype, device = field.Values.device))

    /// The integral over a face of the squares of values there, (batch, channels).
    let private squared (options: LossOptions) (axis: int) (atEnd: bool) (field: Field) (values: Tensor) : Tensor =
        let w = faceWeights axis field

        let squares =
            match options.Mask with
            | Some mask ->
                let m = OperatorLosses.ofMask values (faceMask axis atEnd mask)
                (OperatorLosses.inside m values).square().mul(w).mul m
            | None -> values.square().mul w

        if squares.shape.Length = 2 then
            squares
        else
            squares.flatten(2L, -1L).sum [| 2L |]

    let private area (axis: int) (domain: Domain) = domain.Volume / domain[axis].Length

    let private checkField (options: LossOptions) (field: Field) =
        ArgumentNullException.ThrowIfNull(field, "prediction")

        if not field.Discretisation.IsProduct then
            bad $"Values at ends of axes need a product of axes; the prediction is given at {field.Discretisation}."

        OperatorLosses.checkOptions options field

    let private checkAxis (axis: int) (field: Field) =
        if axis < 0 || axis >= field.Domain.Dimension then
            bad $"There is no axis {axis} of {field.Domain}; its axes are 0 to {field.Domain.Dimension - 1}."

        if field.Domain[axis].Boundary = Boundary.Periodic then
            bad $"Axis {axis} is {field.Domain[axis]}, which has no ends; name axes that are not periodic."

    let private checkSame (prediction: Field) (given: Field) =
        if
            not (OperatorLosses.same prediction.Discretisation given.Discretisation)
            || prediction.Values.shape <> given.Values.shape
            || prediction.Values.dtype <> given.Values.dtype
        then
            bad
                $"The prediction is {prediction} ({prediction.Values.dtype}) and the given values are {given} ({given.Values.dtype}); points, shapes and dtypes must be equal."

    /// The L2 distance of each sample from given values at both ends of these axes, (batch): the square root of the integral over all of
    /// these faces. Only the ends of `given` count; None is zero, and then the distance is absolute. ArgumentException for clouds,
    /// axes that the domain lacks or that are periodic, no axes, and given values of other points, shape or dtype.
    let boundaries (axes: int[]) (options: LossOptions) (prediction: Field) (given: Field option) : Tensor =
        ArgumentNullException.ThrowIfNull(axes, nameof axes)
        checkField options prediction
        given |> Option.iter (checkSame prediction)

        if axes.Length = 0 then
            bad $"No axes were named; name those of {prediction.Domain} that are not periodic."

        for axis in axes do
            checkAxis axis prediction

        OperatorLosses.moved (fun () ->
            let faces = [|
                for axis in axes do
                    for atEnd in [| false; true |] -> struct (axis, atEnd)
            |]

            let total (field: Field option) (other: Field option) =
                faces
                |> Array.map (fun (struct (axis, atEnd)) ->
                    let values =
                        match field, other with
                        | Some a, Some b -> (trace axis atEnd a).sub(trace axis atEnd b)
                        | Some a, None
                        | None, Some a -> trace axis atEnd a
                        | None, None -> invalidOp "a face without a field"

                    squared options axis atEnd prediction values)
                |> Array.reduce (fun a b -> a.add b)

            let volume = axes |> Array.sumBy (fun axis -> 2.0 * area axis prediction.Domain)

            OperatorLosses.ratio
                options
                volume
                (total (Some prediction) given)
                (given |> Option.map (fun g -> total (Some g) None)))

    /// The mean of `boundaries`.
    let boundary (axes: int[]) (options: LossOptions) (prediction: Field) (given: Field option) : Tensor =
        OperatorLosses.moved (fun () -> OperatorLosses.mean options (boundaries axes options prediction given))

    /// The values of an initial field: on the other axes, or at the start of a field at the same points.
    let private initialValues (axis: int) (prediction: Field) (initial: Field) : Tensor =
        if OperatorLosses.same prediction.Discretisation initial.Discretisation then
            checkSame prediction initial
            trace axis false initial
        else
            let others =
                prediction.Discretisation.Axes
                |> Array.indexed
                |> Array.filter (fun (i, _) -> i <> axis)
                |> Array.map snd

            let fits =
                others.Length > 0
                && initial.Discretisation.Equals(Discretisation.Product others)
                && initial.Batch = prediction.Batch
                && initial.Channels = prediction.Channels
                && initial.Values.dtype = prediction.Values.dtype

            if not fits then
                bad
                    $"The initial values are {initial} ({initial.Values.dtype}) for the prediction {prediction} ({prediction.Values.dtype}); give as many samples and channels, at the same points or at those of all axes but {axis}."

            initial.Values

    /// The L2 distance of each sample from initial values at the start of an axis of time, (batch): `initial` is a field on the other axes,
    /// or one at the prediction's points whose start counts. ArgumentException for clouds, a periodic axis or one that the domain
    /// lacks, and initial values that do not fit.
    let initials (axis: int) (options: LossOptions) (prediction: Field) (initial: Field) : Tensor =
        ArgumentNullException.ThrowIfNull(initial, nameof initial)
        checkField options prediction
        checkAxis axis prediction

        OperatorLosses.moved (fun () ->
            let wanted = initialValues axis prediction initial
            let squares = squared options axis false prediction
            let difference = (trace axis false prediction).sub wanted
            OperatorLosses.ratio options (area axis prediction.Domain) (squares difference) (Some(squares wanted)))

    /// The mean of `initials`.
    let initial (axis: int) (options: LossOptions) (prediction: Field) (initial: Field) : Tensor =
        OperatorLosses.moved (fun () -> OperatorLosses.mean options (initials axis options prediction initial))

// What an operator is learned from: pairs of functions, sample by sample.
namespace Continuum

open System
open TorchSharp

/// Parts of functions: some samples, some points.
[<RequireQualifiedAccess>]
module internal FieldParts =

    let private bad (text: string) = raise (ArgumentException text)

    /// The clouds of some samples; points that serve all samples stay.
    let cloudsOf (points: Discretisation) (indices: int[]) : Discretisation =
        if points.CloudCount = 1 then
            points
        else
            use _ = torch.NewDisposeScope()
            let d, most = points.Domain.Dimension, int points.Shape[0]
            let x = points.Coordinates(torch.float64, torch.CPU) |> Tensors.toArray
            let w = points.Weights(torch.float64, torch.CPU) |> Tensors.toArray
            let counts = points.Counts

            Discretisation.Clouds(
                points.Domain,
                indices |> Array.map (fun s -> Array2D.init counts[s] d (fun j i -> x[(s * d + i) * most + j])),
                indices |> Array.map (fun s -> Array.init counts[s] (fun j -> w[s * most + j]))
            )

    /// Places as a tensor.
    let places (numbers: int64[]) : Tensor =
        use pinned = torch.tensor numbers
        pinned.clone ()

    /// The rows with these numbers.
    let rows (indices: int[]) (x: Tensor) : Tensor =
        use index = places (Array.map int64 indices)
        x.index_select (0L, index)

    /// The samples with these numbers, in this order.
    let take (indices: int[]) (field: Field) : Field =
        use _ = torch.NewDisposeScope()
        let points = cloudsOf field.Discretisation indices
        let values = rows indices field.Values
        // The largest cloud may be gone, and its padding with it.
        let last = values.shape.Length - 1
        let most = points.Shape[points.Shape.Length - 1]

        let values =
            if values.shape[last] = most then
                values
            else
                values.narrow(int64 last, 0L, most).contiguous()

        new Field(points, values.MoveToOuterDisposeScope())

    /// The first kept point and the number of kept points where every k-th point of n leaves points of the same layout.
    let private kept (axis: int) (points: AxisPoints) (k: int) : struct (int * int) =
        let n = points.Count

        if k < 1 then
            bad $"Axis {axis}: every {k}-th point was asked for; give 1 or more."

        let refuse need = bad $"Axis {axis} has {points}: every {k}-th point is not again such a grid; {need}."

        match points.Layout with
        | PointLayout.Nodes ->
            if (n - 1) % k <> 0 then
                refuse $"{n - 1} intervals must be divisible by {k}"

            struct (0, (n - 1) / k + 1)
        | PointLayout.Periodic ->
            if n % k <> 0 then
                refuse $"{n} points must be divisible by {k}"

            struct (0, n / k)
        | PointLayout.Interior ->
            if (n + 1) % k <> 0 || (n + 1) / k < 2 then
                refuse $"{n + 1} intervals must be divisible by {k} and more than {k}"

            struct (k - 1, (n + 1) / k - 1)
        | PointLayout.Cells ->
            if n % k <> 0 || k % 2 = 0 then
                refuse $"{n} cells must be divisible by {k}, and {k} be odd, for centres to stay centres"

            struct ((k - 1) / 2, n / k)
        | _ -> bad $"Axis {axis} has irregular points; every k-th point is taken of uniform points only."

    let private everyOther (k: int) (axis: int) (first: int) (count: int) (values: Tensor) : Tensor =
        values.index_select (int64 (axis + 2), places (Array.init count (fun j -> int64 (first + j * k))))

    /// Goes through the axes: the values along axis i, and the points that are left of it, from the first kept point and the number of kept ones.
    let private alongCells
        (inCells: bool)
        (every: int[])
        (field: Field)
        (reduce: int -> AxisPoints -> int -> int -> Tensor -> Tensor)
        =
        let points = field.Discretisation

        if not points.IsProduct then
            bad $"Every k-th point is taken of products of points on axes; got {points}."

        if every.Length <> points.Axes.Length then
            bad $"{points} has {points.Axes.Length} axes and {every.Length} strides were given; give one for each axis."

        use _ = torch.NewDisposeScope()
        let mutable values = field.Values

        let axes =
            points.Axes
            |> Array.mapi (fun i axis ->
                let struct (first, count) =
                    if inCells && axis.Layout = PointLayout.Cells && every[i] > 0 && axis.Count % every[i] = 0 then
                        struct (0, axis.Count / every[i])
                    else
                        kept i axis every[i]

                values <- reduce i axis first count values
                AxisPoints.Uniform(axis.Axis, count, axis.Layout))

        new Field(Discretisation.Product axes, values.MoveToOuterDisposeScope())

    let private along every field reduce = alongCells false every field reduce

    /// Cells of a periodic axis taken k by k for even k: the centres of the coarse cells lie between those of the fine ones.
    let private isBetween (axis: AxisPoints) (k: int) =
        axis.Layout = PointLayout.Cells
        && axis.Axis.Boundary = Boundary.Periodic
        && k > 0
        && k % 2 = 0
        && axis.Count % k = 0

    /// Every k-th point of each axis, where that leaves points of the same layouts. The centres of cells of periodic axes, for even k, by Fourier series.
    let stride (every: int[]) (field: Field) : Field =
        let points = field.Discretisation

        if points.IsProduct && points.Axes.Length = every.Length && Array.exists2 isBetween points.Axes every then
            use _ = torch.NewDisposeScope()
            let others = Array.map2 (fun axis k -> if isBetween axis k then 1 else k) points.Axes every
            let some = along others field (fun i _ first count values -> everyOther others[i] i first count values)

            let target =
                Array.map2
                    (fun (axis: AxisPoints) k ->
                        if isBetween axis k then
                            AxisPoints.Uniform(axis.Axis, axis.Count / k, axis.Layout)
                        else
                            axis)
                    some.Discretisation.Axes
                    every
                |> Discretisation.Product

            let image = FieldResampling.upto target some
            new Field(target, image.Values.MoveToOuterDisposeScope())
        else
            along every field (fun i _ first count values -> everyOther every[i] i first count values)

    /// The mean over the cell of width k around each of the points first, first + k, ..., as weights of all n points, row by row: each point stands for the cell
    /// of width 1 around it, and cells end where an axis does.
    let private cellMeans (points: AxisPoints) (k: int) (first: int) (count: int) : float[] =
        let n = points.Count
        let weights = Array.zeroCreate (count * n)

        let start, stop =
            match points.Layout with
            | PointLayout.Nodes -> 0.0, float (n - 1)
            | _ -> Double.NegativeInfinity, Double.PositiveInfinity

        if points.Layout = PointLayout.Cells then
            // k cells make one.
            for at in 0 .. n - 1 do
                weights[at / k * n + at] <- 1.0 / float k

        for j in 0 .. (if points.Layout = PointLayout.Cells then 0 else count) - 1 do
            let centre = first + j * k
            let from, upTo = max start (float centre - 0.5 * float k), min stop (float centre + 0.5 * float k)

            for at in centre - k / 2 .. centre + k / 2 do
                let covered = min upTo (float at + 0.5) - max from (float at - 0.5)

                if covered > 0.0 then
                    let place = j * n + ((at + n) % n)
                    weights[place] <- weights[place] + covered / (upTo - from)

        weights

    /// Means over the cells around every k-th point of each axis: what is left of a function that the coarser points cannot resolve.
    let coarsen (every: int[]) (field: Field) : Field =
        alongCells true every field (fun i axis first count values ->
            if axis.Layout = PointLayout.Interior && every[i] > 1 then
                bad $"Axis {i} has {axis}: means over cells are taken at nodes, cells and periodic points."

            let weights =
                Tensors.ofArray
                    (cellMeans axis every[i] first count)
                    [| int64 count; int64 axis.Count |]
                    values.dtype
                    values.device

            let dim = int64 (i + 2)
            (Tensors.matmul (values.transpose (dim, -1L)) (weights.t ())).transpose(dim, -1L))

    /// The same functions in another dtype, as a copy.
    let convert (dtype: torch.ScalarType) (field: Field) : Field =
        new Field(field.Discretisation, field.Values.``to`` (dtype, copy = true))

/// Samples of an operator: one or several input functions, each on points of its own, and the output function, with numbers of the
/// equation where they vary. All values are float32 or all are float64, on the CPU. It owns what it is made of: disposing of it frees
/// the fields and the parameters.
///
/// Outputs at several times have frames x components channels, channel = frame * components + component.
[<Sealed>]
type OperatorDataset
    (
        inputs: (string * Field)[],
        output: string * Field,
        parameterNames: string[],
        parameters: Tensor,
        mask: Field,
        times: float[],
        source: string
    ) =

    static let bad (text: string) = raise (ArgumentException text)
    static let none (x: obj) = isNull x

    static let checkField (dtype: torch.ScalarType) (count: int64) (name: string) (field: Field) =
        if String.IsNullOrWhiteSpace name then
            bad "A function of the data has no name; name every input and the output."

        if none field then
            bad $"'{name}' has no field."

        let values = field.Values

        if values.dtype <> dtype || not (values.dtype = torch.float32 || values.dtype = torch.float64) then
            bad
                $"'{name}' has dtype {values.dtype} and the output {dtype}; convert all to float32 or all to float64 first."

        if values.device_type <> DeviceType.CPU then
            bad $"'{name}' is on {values.device}; data is kept on the CPU."

        if field.Batch <> count then
            bad $"'{name}' has {field.Batch} samples and the output {count}; every function needs the same samples."

        FieldValues.requireFinite $"'{name}'" field

    static let checkNames (names: string[]) =
        match names |> Array.countBy id |> Array.tryFind (fun (_, n) -> n > 1) with
        | Some(name, n) -> bad $"{n} parameters are called '{name}'; give each its own name."
        | None -> ()

    static let checkParameters (dtype: torch.ScalarType) (count: int64) (names: string[]) (parameters: Tensor) =
        checkNames names

        if isNull parameters then
            if names.Length > 0 then
                bad
                    $"{names.Length} parameters are named and no values given; give a tensor of shape [{count}, {names.Length}]."
        else
            if parameters.shape <> [| count; int64 names.Length |] then
                bad
                    $"The parameters have shape {Tensors.shapeText parameters}; {count} samples and {names.Length} names need [{count}, {names.Length}]."

            if parameters.dtype <> dtype then
                bad $"The parameters have dtype {parameters.dtype} and the output {dtype}; convert them first."

            match Tensors.toArray parameters |> Array.tryFindIndex (fun x -> not (Double.IsFinite x)) with
            | Some i -> bad $"Parameter '{names[i % names.Length]}' of sample {i / names.Length} is not finite."
            | None -> ()

    static let checkTimes (times: float[]) (output: Field) =
        if times.Length > 0 then
            times
            |> Array.iteri (fun i t ->
                if not (Double.IsFinite t) || (i > 0 && t <= times[i - 1]) then
                    bad $"Times must rise and be finite; number {i} is {t}.")

            if output.Channels % times.Length <> 0 then
                bad
                    $"The output has {output.Channels} channels and there are {times.Length} times; channels are frames x components, frame by frame."

    static let broadcastMask (dtype: torch.ScalarType) (count: int64) (mask: Field) : Field =
        if none mask then
            mask
        else
            if mask.Channels <> 1 || (mask.Batch <> 1L && mask.Batch <> count) then
                bad
                    $"The mask has {mask.Batch} samples and {mask.Channels} channels; it needs one channel and one sample, or {count}."

            if mask.Values.dtype <> dtype then
                bad $"The mask has dtype {mask.Values.dtype} and the output {dtype}; convert it first."

            FieldValues.requireFinite "The mask" mask

            do
                use _ = torch.NewDisposeScope()
                let values = mask.Values.flatten 1L
                let wrong = values.eq(0.0).logical_or(values.eq 1.0).logical_not()

                if wrong.any().ToBoolean() then
                    let first = wrong.nonzero().[0L].data<int64>().ToArray()

                    bad
                        $"The mask is {values.[first[0], first[1]].ToDouble()} at point {first[1]} of sample {first[0]}; it must be 1 where the domain is and 0 elsewhere."

                let inside = values.sum 1L |> Tensors.toArray

                match inside |> Array.tryFindIndex (fun n -> n = 0.0) with
                | Some i -> bad $"The mask of sample {i} is 0 everywhere; leave the sample out."
                | None -> ()

            if mask.Batch = count then
                mask
            else
                use old = mask.Values
                use _ = torch.NewDisposeScope()
                let shape = Array.append [| count |] old.shape[1..]
                mask.With((old.expand shape).contiguous().MoveToOuterDisposeScope())

    let count, dtype =
        ArgumentNullException.ThrowIfNull(inputs, nameof inputs)
        ArgumentNullException.ThrowIfNull(parameterNames, nameof parameterNames)
        ArgumentNullException.ThrowIfNull(times, nameof times)

        if none (snd output) then
            bad "The output has no field."

        (snd output).Batch, (snd output).Values.dtype

    do
        if inputs.Length = 0 then
            bad "An operator has at least one input function; got none."

        checkField dtype count (fst output) (snd output)

        for name, field in inputs do
            checkField dtype count name field

        let names = Array.append (Array.map fst inputs) [| fst output |]

        match names |> Array.countBy id |> Array.tryFind (fun (_, n) -> n > 1) with
        | Some(name, _) -> bad $"Two functions are called '{name}'; rename one."
        | None -> ()

        checkParameters dtype count parameterNames parameters
        checkTimes times (snd output)

    let mask = broadcastMask dtype count mask

    let part (f: Field -> Field) (rows: Tensor -> Tensor) =
        new OperatorDataset(
            inputs |> Array.map (fun (name, field) -> name, f field),
            (fst output, f (snd output)),
            parameterNames,
            (if isNull parameters then null else rows parameters),
            (if none mask then mask else f mask),
            times,
            source
        )

    /// Data without parameters, mask and times.
    new(inputs: (string * Field)[], output: string * Field, source: string) =
        new OperatorDataset(inputs, output, [||], null, Unchecked.defaultof<Field>, [||], source)

    /// The input functions with their names.
    member _.Inputs = Array.copy inputs
    /// The output function with its name.
    member _.Output = output
    /// Names of the numbers that vary from sample to sample; empty where none does.
    member _.ParameterNames = Array.copy parameterNames
    /// Their values, (samples, names); null where there are none.
    member _.Parameters = parameters
    /// 1 where the domain is and 0 elsewhere, one channel; null where the domain is all of it.
    member _.Mask = mask
    /// Whether there is a mask.
    member _.HasMask = not (none mask)
    /// The times of the output's frames; empty for a single one without time.
    member _.Times = Array.copy times
    /// Equation and options, as JSON; free text.
    member _.Source = if isNull source then "" else source
    /// Number of samples.
    member _.Count = int count
    /// The dtype of all values.
    member _.DType = dtype

    /// An input by name; ArgumentException names those that there are.
    member _.Input(name: string) : Field =
        match inputs |> Array.tryFind (fun (own, _) -> own = name) with
        | Some(_, field) -> field
        | None ->
            let names = String.Join(", ", Array.map fst inputs)
            bad $"There is no input '{name}'; the inputs are {names}."

    /// The samples with these numbers, in this order, as a copy. ArgumentException for numbers outside of 0 .. Count - 1 and for none.
    member _.Take(indices: int[]) : OperatorDataset =
        ArgumentNullException.ThrowIfNull(indices, nameof indices)

        if indices.Length = 0 then
            bad "No samples were asked for; give at least one number."

        match indices |> Array.tryFindIndex (fun i -> i < 0 || int64 i >= count) with
        | Some at -> bad $"Sample {indices[at]} (place {at} of the list) does not exist; there are {count}, from 0."
        | None -> ()

        part (FieldParts.take indices) (FieldParts.rows indices)

    /// `length` samples from `start` on, as a copy. ArgumentException where they do not exist.
    member this.Range(start: int, length: int) : OperatorDataset =
        if start < 0 || length < 1 || int64 start + int64 length > count then
            bad $"Samples {start} to {start + length - 1} do not all exist; there are {count}, from 0."

        this.Take(Array.init length (fun i -> start + i))

    /// Every every[i]-th point of axis i, of all functions and the mask. ArgumentException where that would not leave uniform points of
    /// the same layout: n - 1 intervals of nodes, n of periodic points, n + 1 of interior points must be divisible; cells need odd strides, but on
    /// periodic axes, where even ones give the values at the coarser centres by Fourier series.
    member _.Stride(every: int[]) : OperatorDataset =
        ArgumentNullException.ThrowIfNull(every, nameof every)
        part (FieldParts.stride every) (fun x -> x.clone ())

    /// The same points as Stride leaves, with the input functions as means over the cells around them, and the output's values there. For rough inputs, such as
    /// coefficients that jump between the points: values at coarse points do not determine the output, means do so better. ArgumentException as Stride, for
    /// interior points, and for data with a mask.
    member _.Coarsen(every: int[]) : OperatorDataset =
        ArgumentNullException.ThrowIfNull(every, nameof every)

        if not (none mask) then
            bad "Means over cells of data with a mask are not defined here: cells may be partly masked. Take Stride."

        new OperatorDataset(
            inputs |> Array.map (fun (name, field) -> name, FieldParts.coarsen every field),
            (fst output, FieldParts.stride every (snd output)),
            parameterNames,
            (if isNull parameters then null else parameters.clone ()),
            mask,
            times,
            source
        )

    /// The same data in float32 or float64, as a copy. ArgumentException for values too large for float32.
    member _.To(dtype: torch.ScalarType) : OperatorDataset =
        if dtype = torch.float32 then
            for name, field in Array.append inputs [| output |] do
                FieldValues.requireSingle $"'{name}'" field

            if
                not (isNull parameters)
                && Array.exists (fun x -> abs x > float Single.MaxValue) (Tensors.toArray parameters)
            then
                bad "A parameter is too large for single precision; compute in double precision, or take other units."

        part (FieldParts.convert dtype) (fun x -> x.``to`` (dtype, copy = true))

    override _.ToString() =
        let inputs =
            String.Join(
                ", ",
                inputs
                |> Array.map (fun (name, field) -> $"{name}: {field.Channels} channels at {field.Discretisation}")
            )

        $"{count} samples of ({inputs}) -> {fst output}: {(snd output).Channels} channels at {(snd output).Discretisation}"

    interface IDisposable with
        member _.Dispose() =
            for _, field in inputs do
                field.Values.Dispose()

            (snd output).Values.Dispose()

            if not (isNull parameters) then
                parameters.Dispose()

            if not (none mask) then
                mask.Values.Dispose()

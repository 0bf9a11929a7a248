// Data of others: published benchmarks and arrays of the user's own.
namespace Continuum

open System
open System.IO
open TorchSharp

/// How arrays of others become operator data.
type ForeignOptions = {
    /// Where the functions live. Arrays have the points of its axes, in this order.
    Domain: Domain
    /// The layout of the points on each axis; empty for the usual ones (periodic: end excluded; Neumann: cell centres; others: both ends included).
    Layouts: PointLayout[]
    /// Names of the arrays that are input functions. Shapes (samples, points..) or (samples, channels or times, points..).
    Inputs: string[]
    /// Names of the arrays that are the output's components, of equal shapes.
    Outputs: string[]
    /// Channels or times come last: (samples, points.., channels).
    ChannelsLast: bool
    /// Positive where input and output are parts of one sequence of times: inputs keep the first frames, outputs those behind them.
    InputFrames: int
    /// Times of all frames of the output arrays; empty where the channels are not times.
    Times: float[]
    /// Names of arrays of one number for each sample that the equation has: scalar parameters.
    Parameters: string[]
    /// Name of the array that is 1 where the domain is and 0 elsewhere, at the points of the first input: shape (points..) for all samples or (samples,
    /// points..); empty for none.
    Mask: string
    /// Name of the result's output; empty for the name of the first output array.
    OutputName: string
    /// float32 or float64.
    DType: torch.ScalarType
} with

    /// One array in, one out.
    static member Create(domain: Domain, input: string, output: string) : ForeignOptions = {
        Domain = domain
        Layouts = [||]
        Inputs = [| input |]
        Outputs = [| output |]
        ChannelsLast = false
        InputFrames = 0
        Times = [||]
        Parameters = [||]
        Mask = ""
        OutputName = ""
        DType = torch.float64
    }

/// Readers of arrays in .npy, .npz, HDF5 (.h5, .hdf5) and MATLAB files of version 7.3 (.mat), and of arrays in memory.
[<RequireQualifiedAccess>]
module ForeignData =

    let private bad (text: string) = raise (ArgumentException text)

    /// MATLAB's arrays run over their first index fastest: in HDF5 their axes stand in reverse order.
    let private reversed (array: NamedArray) : NamedArray =
        use _ = torch.NewDisposeScope()
        let values = array.ToTensor()
        let d = values.shape.Length
        let turned = values.permute(Array.init d (fun i -> int64 (d - 1 - i))).contiguous()
        NamedArray.FromTensor(array.Name, turned)

    let private extension (path: string) =
        ArgumentException.ThrowIfNullOrWhiteSpace(path, nameof path)
        Path.GetExtension(path).ToLowerInvariant()

    let private unknown (path: string) =
        bad $"'{path}' has an ending that is not read here; give .h5, .hdf5, .mat, .npz or .npy."

    /// The names of the arrays of a file with their shapes, axes in the order in which `read` gives them.
    let list (path: string) : (string * int64[])[] =
        match extension path with
        | ".h5"
        | ".hdf5" -> Hdf5.openFile path Hdf5.list
        | ".mat" -> Hdf5.openFile path Hdf5.list |> Array.map (fun (name, shape) -> name, Array.rev shape)
        | ".npz" -> Npz.Read path |> Array.map (fun a -> a.Name, a.Shape)
        | ".npy" -> [| Path.GetFileNameWithoutExtension path, (Npy.Read path).Shape |]
        | _ -> unknown path

    /// Arrays of a file by their names, MATLAB's axes put in MATLAB's order. A .npy file has one array, whatever its name: it can be asked for one.
    /// InvalidDataException names the file and the array that is missing or damaged.
    let read (path: string) (names: string[]) : NamedArray[] =
        ArgumentNullException.ThrowIfNull(names, nameof names)
        NativeLibraries.ensure ()

        match extension path with
        | ".h5"
        | ".hdf5" -> Hdf5.openFile path (fun root -> names |> Array.map (Hdf5.read path root))
        | ".mat" -> Hdf5.openFile path (fun root -> names |> Array.map (Hdf5.read path root >> reversed))
        | ".npz" ->
            let all = Npz.Read path

            names
            |> Array.map (fun name ->
                match all |> Array.tryFind (fun a -> a.Name = name) with
                | Some array -> array
                | None ->
                    let known = all |> Seq.map _.Name |> Seq.truncate 12 |> String.concat ", "
                    FileFormat.invalid path $"it has no array {FileFormat.quoted name}" $"it holds: {known}")
        | ".npy" ->
            match Array.distinct names with
            | [| name |] -> [| (Npy.Read path).WithName name |]
            | several ->
                let wanted = several |> Array.map FileFormat.quoted |> String.concat ", "

                FileFormat.invalid
                    path
                    $"a .npy file holds one array, and {wanted} were asked for"
                    "put the arrays into one .npz file"
        | _ -> unknown path

    // ------------------------------------------------------------------------------------------ from arrays to fields

    let private pointsOf (o: ForeignOptions) (sizes: int64[]) : Discretisation =
        let sizes = Array.map int sizes

        if o.Layouts.Length = 0 then
            Discretisation.Uniform(o.Domain, sizes)
        else
            Discretisation.Uniform(o.Domain, sizes, o.Layouts)

    /// Values (samples, channels, points..) of an array.
    let private valuesOf (o: ForeignOptions) (array: NamedArray) : Tensor =
        let d = o.Domain.Dimension
        let x = array.ToTensor().``to`` o.DType

        match x.shape.Length - d with
        | 1 -> x.unsqueeze 1L
        | 2 when o.ChannelsLast ->
            let order = Array.concat [ [| 0L; int64 (d + 1) |]; Array.init d (fun i -> int64 (i + 1)) ]
            x.permute order
        | 2 -> x
        | _ ->
            bad
                $"'{array.Name}' has shape {Shape.text array.Shape}; functions on {d} axes need {d + 1} sizes (samples, points) or {d + 2} (with channels or times)."

    let private cut (name: string) (x: Tensor) (from: int64) (count: int64) : Tensor =
        if from < 0L || count < 1L || from + count > x.shape[1] then
            bad $"'{name}' has {x.shape[1]} frames; frames {from} to {from + count - 1L} were asked for."

        x.narrow (1L, from, count)

    let private fieldOf (o: ForeignOptions) (name: string) (values: Tensor) : string * Field =
        let points = pointsOf o values.shape[2..]
        name, new Field(points, values.contiguous().clone())

    /// Frames x components from components (samples, frames, points..).
    let private interleave (parts: Tensor[]) : Tensor =
        let shape = parts[0].shape

        if parts |> Array.exists (fun p -> p.shape <> shape) then
            bad "The components of the output have unlike shapes; give arrays of equal shapes."

        let all = torch.stack (parts, 2L)
        all.reshape (Array.concat [ [| shape[0]; shape[1] * int64 parts.Length |]; shape[2..] ])

    let private find (arrays: NamedArray[]) (name: string) : NamedArray =
        match arrays |> Array.filter (fun a -> a.Name = name) with
        | [| array |] -> array
        | [||] ->
            let known = String.Join(", ", arrays |> Array.map _.Name)
            bad $"There is no array '{name}'; there are {known}."
        | several -> bad $"{several.Length} arrays are called '{name}'; give each its own name."

    /// The parameters as (samples, parameters); null for none.
    let private parametersOf (o: ForeignOptions) (samples: int64) (arrays: NamedArray[]) : Tensor =
        let column (name: string) =
            let array = find arrays name
            let shape = array.Shape

            if shape <> [| samples |] && shape <> [| samples; 1L |] then
                bad
                    $"The parameter '{name}' has shape {Shape.text shape}; {samples} samples need one number each, shape [{samples}]."

            array.ToTensor().``to``(o.DType).reshape([| samples; 1L |])

        if o.Parameters.Length = 0 then
            null
        else
            torch.cat (o.Parameters |> Array.map column, 1L)

    let private maskOf (o: ForeignOptions) (samples: int64) (points: Discretisation) (arrays: NamedArray[]) : Field =
        if String.IsNullOrEmpty o.Mask then
            Unchecked.defaultof<Field>
        else
            let array = find arrays o.Mask
            let sizes = points.Shape
            let one = array.Shape = sizes

            if not one && array.Shape <> Array.append [| samples |] sizes then
                let wanted = String.Join(", ", sizes)

                bad
                    $"The mask has shape {Shape.text array.Shape}; give [{wanted}] for all samples or [{samples}, {wanted}], the points of the first input."

            let shape = Array.append [| (if one then 1L else samples); 1L |] sizes
            new Field(points, array.ToTensor().``to``(o.DType).reshape(shape).clone())

    let private inputsOf (o: ForeignOptions) (arrays: NamedArray[]) : (string * Field)[] =
        let k = int64 o.InputFrames

        o.Inputs
        |> Array.map (fun name ->
            let x = valuesOf o (find arrays name)
            fieldOf o name (if k > 0L then cut name x 0L k else x))

    /// Operator data from arrays in memory, by the names that the options give. ArgumentException, naming the array and its shape, where they do not
    /// fit each other or the domain.
    let ofArrays (o: ForeignOptions) (arrays: NamedArray[]) (source: string) : OperatorDataset =
        ArgumentNullException.ThrowIfNull(o.Domain, nameof o.Domain)
        ArgumentNullException.ThrowIfNull(arrays, nameof arrays)
        NativeLibraries.ensure ()

        if o.Inputs.Length = 0 || o.Outputs.Length = 0 then
            bad "Name at least one input array and one output array."

        use _ = torch.NewDisposeScope()
        let k = int64 o.InputFrames
        let inputs = inputsOf o arrays
        let components = o.Outputs |> Array.map (find arrays >> valuesOf o)
        let frames = components[0].shape[1]

        if o.Times.Length > 0 && int64 o.Times.Length <> frames then
            bad
                $"'{o.Outputs[0]}' has {frames} frames and {o.Times.Length} times were given; give one time for each frame."

        let kept =
            if k > 0L then
                Array.map2 (fun name x -> cut name x k (frames - k)) o.Outputs components
            else
                components

        let name =
            if String.IsNullOrEmpty o.OutputName then
                (if Array.contains o.Outputs[0] o.Inputs then
                     o.Outputs[0] + " later"
                 else
                     o.Outputs[0])
            else
                o.OutputName

        let output = fieldOf o name (interleave kept)
        let times = if o.Times.Length = 0 then [||] else Array.skip (int k) o.Times
        let samples = (snd output).Batch
        let mask = maskOf o samples (snd inputs[0]).Discretisation arrays
        let parameters = parametersOf o samples arrays
        let made = new OperatorDataset(inputs, output, o.Parameters, parameters, mask, times, source)

        for _, field in Array.append made.Inputs [| made.Output |] do
            field.Values.MoveToOuterDisposeScope() |> ignore

        if not (isNull made.Parameters) then
            made.Parameters.MoveToOuterDisposeScope() |> ignore

        if made.HasMask then
            made.Mask.Values.MoveToOuterDisposeScope() |> ignore

        made

    /// Data to predict from: input functions (with the parameters and the mask of the options, whose outputs do not count) whose output, of so many channels
    /// at the points of the first, is not known and stands as zero. ArgumentException as `ofArrays`.
    let ofInputs (o: ForeignOptions) (outputChannels: int) (arrays: NamedArray[]) : OperatorDataset =
        ArgumentNullException.ThrowIfNull(arrays, nameof arrays)
        NativeLibraries.ensure ()

        if o.Inputs.Length = 0 then
            bad "Name at least one input array."

        let sizes =
            use _ = torch.NewDisposeScope()
            let first = inputsOf { o with Inputs = o.Inputs[..0] } arrays |> Array.head |> snd
            // The frames of the input come first and are cut off.
            let channels = [| int64 (o.InputFrames + outputChannels) |]
            let points = first.Discretisation.Shape

            Array.append
                [| first.Batch |]
                (if o.ChannelsLast then
                     Array.append points channels
                 else
                     Array.append channels points)

        let count = sizes |> Array.fold (*) 1L |> int
        let name = "(the image)"
        let image = NamedArray.FromDoubles(name, sizes, Array.zeroCreate count)
        let wanted = if String.IsNullOrEmpty o.OutputName then "image" else o.OutputName

        let outputName =
            Seq.append [ wanted ] (Seq.initInfinite (fun i -> $"{wanted} {i + 2}"))
            |> Seq.find (fun name -> not (Array.contains name o.Inputs))

        let known = { o with Outputs = [| name |]; OutputName = outputName; Times = [||] }

        ofArrays known (Array.append arrays [| image |]) "input functions"

    /// The names of all arrays that the options ask for; those of the output only where it is wanted.
    let private names (o: ForeignOptions) (withOutput: bool) : string[] =
        [|
            yield! o.Inputs

            if withOutput then
                yield! o.Outputs

            yield! o.Parameters

            if not (String.IsNullOrEmpty o.Mask) then
                o.Mask
        |]
        |> Array.distinct

    /// Input functions to predict from, from the arrays of a file.
    let loadInputs (path: string) (o: ForeignOptions) (outputChannels: int) : OperatorDataset =
        ofInputs o outputChannels (read path (names o false))

    /// Operator data from the arrays of a file.
    let load (path: string) (o: ForeignOptions) : OperatorDataset =
        ofArrays o (read path (names o true)) $"'{Path.GetFileName path}'"

    // ------------------------------------------------------------------------------------------ PDEBench

    /// The number with at most four digits, or the quarter of a multiple of pi, that coordinates in single precision mean; x itself where there is none so near.
    let private snapped (scale: float) (x: float) =
        let digits = Math.Clamp(4 - int (ceil (log10 scale)), 0, 15)

        [| Math.Round(x, digits); Math.Round(4.0 * x / Math.PI) * Math.PI / 4.0 |]
        |> Array.tryFind (fun near -> abs (near - x) <= 1e-6 * scale)
        |> Option.defaultValue x

    /// The axis of cell centres at these coordinates. Ends and lengths are the round numbers that they mean: files of two resolutions have the same domain.
    let private axisOf (path: string) (name: string) (boundary: Boundary) (x: float[]) : Axis * PointLayout =
        if x.Length < 2 || not (x[x.Length - 1] > x[0]) then
            FileFormat.invalid path $"{FileFormat.quoted name} does not rise" "check the file"

        let h = (x[x.Length - 1] - x[0]) / float (x.Length - 1)
        let length = snapped (h * float x.Length) (h * float x.Length)
        Axis(snapped length (x[0] - 0.5 * h), length, boundary), PointLayout.Cells

    let private coordinateNames = [| "x-coordinate"; "y-coordinate"; "z-coordinate" |]

    /// Files in the layout of PDEBench: `tensor` (samples, times, x, ..), or one array for each component in this layout, with `x-coordinate`, .. (cell
    /// centres) and `t-coordinate`; for Darcy flow `nu` (samples, x, y) and `tensor`. Inputs are `nu` where there is one, else the first
    /// `inputFrames` frames of every component. components: names of the arrays; empty for `tensor`.
    let pdeBench (path: string) (boundary: Boundary) (components: string[]) (inputFrames: int) : OperatorDataset =
        let all = list path
        let has name = all |> Array.exists (fun (own, _) -> own = name)
        let outputs = if components.Length = 0 then [| "tensor" |] else components
        let axisNames = coordinateNames |> Array.takeWhile has

        if axisNames.Length = 0 then
            FileFormat.invalid
                path
                "it has no array 'x-coordinate'"
                "it is no file of PDEBench; name its input and output arrays, and give the domain"

        let doubles name : float[] = (Array.head (read path [| name |])).ToDoubles()
        let axes = axisNames |> Array.map (fun name -> axisOf path name boundary (doubles name))
        let frames = all |> Array.tryFind (fun (name, _) -> name = outputs[0])

        let frames =
            match frames with
            | Some(_, shape) when shape.Length = axes.Length + 2 -> int shape[1]
            | Some _ -> 1
            | None ->
                FileFormat.invalid
                    path
                    $"it has no array {FileFormat.quoted outputs[0]}"
                    "name the arrays of the output"

        let darcy = has "nu" && components.Length = 0
        // The times may number one more than the frames.
        let times =
            if has "t-coordinate" then
                Array.truncate frames (doubles "t-coordinate")
            else
                [||]

        load path {
            ForeignOptions.Create(Domain(Array.map fst axes), (if darcy then "nu" else outputs[0]), outputs[0]) with
                Layouts = Array.map snd axes
                Inputs = if darcy then [| "nu" |] else outputs
                Outputs = outputs
                InputFrames = if darcy then 0 else max 1 inputFrames
                Times = if times.Length = frames && not darcy then times else [||]
                OutputName = if darcy then "u" else "u later"
        }

/// Arrays in memory as operator data.
[<AutoOpen>]
module ForeignDataExtensions =
    type OperatorDataset with
        /// Operator data from arrays in memory; see ForeignData.ofArrays.
        static member OfArrays(options: ForeignOptions, arrays: NamedArray[], source: string) : OperatorDataset =
            ForeignData.ofArrays options arrays source

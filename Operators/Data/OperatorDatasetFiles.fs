// Operator data in files: HDF5 (.h5) and numpy archives (.npz) with the same arrays and the same description.
namespace Continuum

open System
open System.Collections.Generic
open System.IO
open System.Text
open System.Text.Json
open System.Text.Json.Nodes
open TorchSharp

/// The description that stands beside the arrays, as JSON: everything but values, coordinates and weights.
module private Description =

    type AxisPart = { Start: float; Length: float; Boundary: string; Layout: string; Count: int }

    type FunctionPart = {
        Name: string
        /// The group of its arrays: input_0, .., output, mask.
        Group: string
        /// The axes; those of clouds have a Count of 0 and no layout.
        Axes: AxisPart[]
        /// Numbers of points of clouds; empty for products of axes.
        Clouds: int[]
    }

    type Whole = {
        Version: int
        Inputs: FunctionPart[]
        Output: FunctionPart
        Mask: FunctionPart[]
        ParameterNames: string[]
        Times: float[]
        Source: string
    }

    let version = 1

    /// Name of the array that holds it as UTF-8.
    let name = "description"

    let private axis (a: Axis) (layout: string) (count: int) = {
        Start = a.Start
        Length = a.Length
        Boundary = string a.Boundary
        Layout = layout
        Count = count
    }

    let part (name: string) (group: string) (points: Discretisation) : FunctionPart = {
        Name = name
        Group = group
        Axes =
            if points.IsProduct then
                points.Axes |> Array.map (fun p -> axis p.Axis (string p.Layout) p.Count)
            else
                points.Domain.Axes |> Array.map (fun a -> axis a "" 0)
        Clouds = points.Counts
    }

    let private list (items: 'T[]) (write: 'T -> JsonNode) : JsonNode = JsonArray(Array.map write items)

    let private fields (pairs: (string * JsonNode) list) : JsonNode =
        let all = JsonObject()

        for name, value in pairs do
            all.Add(name, value)

        all

    let private word (x: string) : JsonNode = JsonValue.Create x
    let private real (x: float) : JsonNode = JsonValue.Create x
    let private whole (x: int) : JsonNode = JsonValue.Create x

    let private ofAxis (a: AxisPart) : JsonNode =
        fields [
            "Start", real a.Start
            "Length", real a.Length
            "Boundary", word a.Boundary
            "Layout", word a.Layout
            "Count", whole a.Count
        ]

    let private ofPart (p: FunctionPart) : JsonNode =
        fields [
            "Name", word p.Name
            "Group", word p.Group
            "Axes", list p.Axes ofAxis
            "Clouds", list p.Clouds whole
        ]

    let toArray (d: Whole) : NamedArray =
        let json =
            fields [
                "Version", whole d.Version
                "Inputs", list d.Inputs ofPart
                "Output", ofPart d.Output
                "Mask", list d.Mask ofPart
                "ParameterNames", list d.ParameterNames word
                "Times", list d.Times real
                "Source", word d.Source
            ]

        let bytes = Encoding.UTF8.GetBytes(json.ToJsonString())
        NamedArray(name, ElementType.UInt8, [| bytes.LongLength |], bytes)

    let private text (e: JsonElement) (name: string) = e.GetProperty(name).GetString()
    let private number (e: JsonElement) (name: string) = e.GetProperty(name).GetDouble()

    let private many (e: JsonElement) (name: string) (f: JsonElement -> 'T) = [|
        for x in e.GetProperty(name).EnumerateArray() -> f x
    |]

    let private axisOf (e: JsonElement) : AxisPart = {
        Start = number e "Start"
        Length = number e "Length"
        Boundary = text e "Boundary"
        Layout = text e "Layout"
        Count = e.GetProperty("Count").GetInt32()
    }

    let private partOf (e: JsonElement) : FunctionPart = {
        Name = text e "Name"
        Group = text e "Group"
        Axes = many e "Axes" axisOf
        Clouds = many e "Clouds" _.GetInt32()
    }

    /// The version of a description; it stands in every one.
    let versionOf (root: JsonElement) = root.GetProperty("Version").GetInt32()

    /// The description of a JSON text. KeyNotFoundException, InvalidOperationException and FormatException for others.
    let ofJson (root: JsonElement) : Whole = {
        Version = versionOf root
        Inputs = many root "Inputs" partOf
        Output = partOf (root.GetProperty "Output")
        Mask = many root "Mask" partOf
        ParameterNames = many root "ParameterNames" _.GetString()
        Times = many root "Times" _.GetDouble()
        Source = text root "Source"
    }

/// The arrays of a field, and a field from them.
module private FieldArrays =

    let ofField (group: string) (field: Field) : NamedArray list =
        use _ = torch.NewDisposeScope()
        let points = field.Discretisation
        let values = NamedArray.FromTensor($"{group}/values", field.Values)
        let doubles name shape data = NamedArray.FromDoubles($"{group}/{name}", shape, data)

        if points.IsProduct then
            values
            :: [
                for i, axis in Array.indexed points.Axes do
                    doubles $"x{i}" [| int64 axis.Count |] axis.Coordinates

                    if axis.Layout = PointLayout.Irregular then
                        doubles $"weights{i}" [| int64 axis.Count |] axis.Weights
            ]
        else
            let of' (name: string) (x: Tensor) = doubles name x.shape (Tensors.toArray x)

            [
                values
                of' "points" (points.Coordinates(torch.float64, torch.CPU))
                of' "weights" (points.Weights(torch.float64, torch.CPU))
            ]

    let private clouds (domain: Domain) (counts: int[]) (points: float[]) (weights: float[]) : Discretisation =
        let d = domain.Dimension
        let most = Array.max counts

        if points.Length <> counts.Length * d * most || weights.Length <> counts.Length * most then
            raise (ArgumentException "the points of its clouds do not have the sizes that it states")

        Discretisation.Clouds(
            domain,
            counts |> Array.mapi (fun s n -> Array2D.init n d (fun j i -> points[(s * d + i) * most + j])),
            counts |> Array.mapi (fun s n -> Array.init n (fun j -> weights[s * most + j]))
        )

    let private enumOf<'E when 'E: struct and 'E: (new: unit -> 'E) and 'E :> ValueType> (text: string) : 'E =
        match Enum.TryParse<'E> text with
        | true, value -> value
        | _ -> raise (ArgumentException $"'{text}' is no {typeof<'E>.Name}")

    /// The field of a part; `array` gives the array of a name.
    let toField (array: string -> NamedArray) (part: Description.FunctionPart) : Field =
        let axes = part.Axes |> Array.map (fun a -> Axis(a.Start, a.Length, enumOf<Boundary> a.Boundary))
        let doubles (name: string) = (array $"{part.Group}/{name}").ToDoubles()

        let points =
            if part.Clouds.Length > 0 then
                clouds (Domain axes) part.Clouds (doubles "points") (doubles "weights")
            else
                Discretisation.Product(
                    axes
                    |> Array.mapi (fun i axis ->
                        match enumOf<PointLayout> part.Axes[i].Layout with
                        | PointLayout.Irregular -> AxisPoints.At(axis, doubles $"x{i}", doubles $"weights{i}")
                        | layout -> AxisPoints.Uniform(axis, part.Axes[i].Count, layout))
                )

        new Field(points, (array $"{part.Group}/values").ToTensor())

/// Saving and loading operator data.
[<RequireQualifiedAccess>]
module OperatorDatasetFiles =

    let private attribute = "continuum_operator_data"

    let private kindOf (path: string) =
        ArgumentException.ThrowIfNullOrWhiteSpace(path, nameof path)

        match Path.GetExtension(path).ToLowerInvariant() with
        | ".h5"
        | ".hdf5" -> "h5"
        | ".npz" -> "npz"
        | other ->
            raise (
                ArgumentException
                    $"'{path}' ends in '{other}'; operator data is kept in files ending in .h5, .hdf5 or .npz."
            )

    let private arraysOf (data: OperatorDataset) : NamedArray[] =
        let outputName, output = data.Output
        let inputs = data.Inputs

        let maskParts =
            if data.HasMask then
                [| Description.part "mask" "mask" data.Mask.Discretisation |]
            else
                [||]

        let description: Description.Whole = {
            Version = Description.version
            Inputs = inputs |> Array.mapi (fun i (name, f) -> Description.part name $"input_{i}" f.Discretisation)
            Output = Description.part outputName "output" output.Discretisation
            Mask = maskParts
            ParameterNames = data.ParameterNames
            Times = data.Times
            Source = data.Source
        }

        [|
            Description.toArray description
            for i, (_, field) in Array.indexed inputs do
                yield! FieldArrays.ofField $"input_{i}" field
            yield! FieldArrays.ofField "output" output
            if data.HasMask then
                yield! FieldArrays.ofField "mask" data.Mask
            if not (isNull data.Parameters) then
                NamedArray.FromTensor("parameters", data.Parameters)
        |]

    /// Writes data to a file ending in .h5, .hdf5 or .npz, beside an old one, which it then replaces: a reader finds the old file or the new
    /// one. ArgumentException for other endings; IOException where the file cannot be written.
    let save (path: string) (data: OperatorDataset) : unit =
        ArgumentNullException.ThrowIfNull(data, nameof data)
        let kind = kindOf path

        if kind = "h5" then
            Hdf5.write path [ attribute, int64 Description.version ] (arraysOf data)
        else
            Npz.Write(path, arraysOf data)

    let private foreignRemedy =
        "it was not written by Continuum as operator data; read its arrays by name (ForeignData.load, in C# OperatorData.LoadArrays, pde convert --input --output)"

    let private parse (path: string) (bytes: byte[]) : Description.Whole =
        try
            use document = JsonDocument.Parse(ReadOnlyMemory bytes)
            let version = Description.versionOf document.RootElement

            if version > Description.version then
                let known = Description.version
                FileFormat.invalid path $"it has version {version} and {known} is the newest known" "update Continuum"

            Description.ofJson document.RootElement
        with
        | :? JsonException
        | :? KeyNotFoundException
        | :? InvalidOperationException
        | :? FormatException as error ->
            let reason = error.Message.ReplaceLineEndings(" ").TrimEnd('.')
            FileFormat.invalid path $"its description is damaged ({reason})" foreignRemedy

    let private assemble (path: string) (array: string -> NamedArray) (has: string -> bool) : OperatorDataset =
        if not (has Description.name) then
            FileFormat.invalid path $"it has no array '{Description.name}'" foreignRemedy

        let whole = parse path (array Description.name).Data

        try
            let inputs = whole.Inputs |> Array.map (fun part -> part.Name, FieldArrays.toField array part)
            let output = whole.Output.Name, FieldArrays.toField array whole.Output

            let mask =
                match whole.Mask with
                | [||] -> Unchecked.defaultof<Field>
                | parts -> FieldArrays.toField array parts[0]

            let parameters =
                if whole.ParameterNames.Length = 0 then
                    null
                else
                    (array "parameters").ToTensor()

            new OperatorDataset(inputs, output, whole.ParameterNames, parameters, mask, whole.Times, whole.Source)
        with :? ArgumentException as error ->
            let reason = error.Message.ReplaceLineEndings(" ").TrimEnd('.')
            FileFormat.invalid path $"its parts do not fit ({reason})" "write it again"

    let private fromArrays (path: string) (arrays: NamedArray[]) : OperatorDataset =
        let all = Dictionary<string, NamedArray>()

        for array in arrays do
            all[array.Name] <- array

        let find (name: string) =
            match all.TryGetValue name with
            | true, array -> array
            | _ ->
                FileFormat.invalid path $"it has no array {FileFormat.quoted name}" "it is incomplete: write it again"

        assemble path find all.ContainsKey

    /// Reads data that save wrote. InvalidDataException, naming the file and what is missing or wrong, for truncated and foreign files.
    let load (path: string) : OperatorDataset =
        let kind = kindOf path
        NativeLibraries.ensure ()
        use scope = torch.NewDisposeScope()

        let data =
            if kind = "h5" then
                Hdf5.openFile path (fun root ->
                    let names = Hdf5.list root |> Array.map fst |> HashSet
                    assemble path (Hdf5.read path root) names.Contains)
            else
                fromArrays path (Npz.Read path)

        for _, field in Array.append data.Inputs [| data.Output |] do
            field.Values.MoveToOuterDisposeScope() |> ignore

        if data.HasMask then
            data.Mask.Values.MoveToOuterDisposeScope() |> ignore

        if not (isNull data.Parameters) then
            data.Parameters.MoveToOuterDisposeScope() |> ignore

        ignore scope
        data

/// Files of operator data as members of the data.
[<AutoOpen>]
module OperatorDatasetExtensions =
    type OperatorDataset with
        /// Writes to a file ending in .h5, .hdf5 or .npz; see OperatorDatasetFiles.save.
        member data.Save(path: string) = OperatorDatasetFiles.save path data

        /// Reads a file that Save wrote; see OperatorDatasetFiles.load.
        static member Load(path: string) : OperatorDataset = OperatorDatasetFiles.load path

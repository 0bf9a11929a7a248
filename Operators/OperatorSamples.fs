// Samples of a data set as inputs of a model, and how they look under symmetries.
namespace Continuum

open System
open TorchSharp

/// Samples of a data set as inputs of a model.
[<RequireQualifiedAccess>]
module internal OperatorSamples =

    /// Moves a field.
    let onto (device: torch.Device) (field: Field) : Field =
        if isNull (box field) || field.Values.device_type = device.``type`` then
            field
        else
            field.With(field.Values.``to`` device)

    /// Samples of these numbers: input and truth.
    let take (device: torch.Device) (data: OperatorDataset) (indices: int[]) : struct (OperatorInput * Field) =
        let all = indices.Length = data.Count

        let part (field: Field) =
            if all then field else FieldParts.take indices field
            |> onto device

        let functions = data.Inputs |> Array.map (fun (_, f) -> part f)

        let parameters =
            if isNull data.Parameters then null
            elif all then data.Parameters.``to`` device
            else (FieldParts.rows indices data.Parameters).``to`` device

        let mask = if isNull (box data.Mask) then data.Mask else part data.Mask
        let truth = part (snd data.Output)
        struct (OperatorInput(functions, parameters, mask, truth.Discretisation), truth)

    /// Indices of consecutive batches of at most so many.
    let batches (count: int) (size: int) : int[][] =
        Array.init ((count + size - 1) / size) (fun b -> [| b * size .. min count ((b + 1) * size) - 1 |])

    /// Throws ArgumentException, naming what differs, where data do not fit a model.
    let check (model: NeuralOperator) (name: string) (data: OperatorDataset) =
        let bad (text: string) = raise (ArgumentException text)
        let inputs = data.Inputs |> Array.map (fun (_, f) -> f.Channels)
        let text (values: int[]) = String.Join(", ", values)

        if inputs <> model.InputChannels then
            bad
                $"The {name} have input functions with [{text inputs}] channels; the model takes [{text model.InputChannels}]."

        let output = snd data.Output

        if output.Channels <> model.OutputChannels then
            bad $"The {name} have {output.Channels} output channels; the model gives {model.OutputChannels}."

        for name', field in Array.append data.Inputs [| data.Output |] do
            if not (field.Domain.Equals model.Domain) then
                bad $"'{name'}' of the {name} lives on {field.Domain}; the model is made for {model.Domain}."

        if data.ParameterNames.Length <> model.ScalarParameters then
            bad
                $"The {name} have {data.ParameterNames.Length} scalar parameters and the model takes {model.ScalarParameters}; give those that it was trained with, in the same order."

        let parameter = model.parameters () |> Seq.head

        if output.Values.dtype <> parameter.dtype then
            bad $"The {name} are {output.Values.dtype} and the model {parameter.dtype}; convert the data with To."

/// Functions as they look under a symmetry of the box.
[<RequireQualifiedAccess>]
module internal FieldSymmetries =

    /// Throws ArgumentException, naming the axis, where points do not look the same under the symmetries.
    let check (name: string) (symmetries: BoxSymmetries) (field: Field) =
        let points = field.Discretisation

        if symmetries <> BoxSymmetries.None then
            if not points.IsUniform then
                raise (ArgumentException $"Symmetries need uniform points on every axis; '{name}' lies on {points}.")

            if symmetries = BoxSymmetries.All then
                points.Axes
                |> Array.iteri (fun i axis ->
                    let first = points.Axes[0]

                    if
                        axis.Count <> first.Count
                        || axis.Layout <> first.Layout
                        || axis.Axis.Length <> first.Axis.Length
                        || axis.Axis.Boundary <> first.Axis.Boundary
                    then
                        raise (
                            ArgumentException
                                $"Exchanges of axes need axes that are alike; axis {i} of '{name}' has {axis} and axis 0 {first}. Take reflections alone."
                        ))

    let private orders (d: int) : int64[][] =
        match d with
        | 1 -> [| [| 0L |] |]
        | 2 -> [| [| 0L; 1L |]; [| 1L; 0L |] |]
        | _ -> [|
            [| 0L; 1L; 2L |]
            [| 0L; 2L; 1L |]
            [| 1L; 0L; 2L |]
            [| 1L; 2L; 0L |]
            [| 2L; 0L; 1L |]
            [| 2L; 1L; 0L |]
          |]

    /// A symmetry drawn from the generator, as a map of fields.
    let draw (symmetries: BoxSymmetries) (d: int) (generator: torch.Generator) : Field -> Field =
        if symmetries = BoxSymmetries.None then
            id
        else
            let number (below: int) =
                use drawn = torch.randint (int64 below, [| 1L |], generator = generator, dtype = torch.int64)
                int (drawn.ToInt64())

            let mirrored = number (1 <<< d)
            let all = orders d
            let order = if symmetries = BoxSymmetries.All then all[number all.Length] else all[0]

            fun field ->
                let mutable x = field.Values

                for i in 0 .. d - 1 do
                    if mirrored &&& (1 <<< i) <> 0 then
                        x <- x.flip [| int64 i + 2L |]

                        // The points j L / n of a periodic axis: 0 stays where it is.
                        if field.Discretisation.Axes[i].Layout = PointLayout.Periodic then
                            x <- x.roll (1L, int64 i + 2L)

                field.With(x.permute (Array.append [| 0L; 1L |] (order |> Array.map (fun a -> a + 2L))))

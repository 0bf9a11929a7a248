// Data sets of irregular series: for each subject its visits with missing values, covariates that do not change, and what is to be predicted.
namespace Continuum

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open System.Security.Cryptography

/// One subject of a data set.
type IrregularSubject = {
    /// Name, for messages.
    Id: string
    /// Rising times of the visits and the values, (visits, channels); NaN where a value is missing.
    Path: ObservedPath
    /// Covariates that do not change, NaN where missing; may be empty.
    Statics: float[]
    /// What is to be predicted for the subject: numbers, or one class index from 0; empty where nothing is known.
    Target: float[]
    /// What is to be predicted at each visit, (visits, outputs), NaN where unknown; null where nothing is.
    VisitTargets: float[,]
}

/// A data set of irregular series: the subjects and the names of their columns. Checked at construction; do not change its arrays.
[<Sealed>]
type IrregularSeries
    private
    (channels: string[], statics: string[], targets: string[], visitTargets: string[], subjects: IrregularSubject[]) =
    static let bad (text: string) = raise (ArgumentException text)

    static let checkNames (what: string) (names: string[]) =
        if Array.distinct names <> names then
            let list = String.Join(", ", names)
            bad $"two {what} share a name: {list}"

    static let checkSubject (channels: string[]) (statics: string[]) (targets: string[]) visitTargets subject =
        let what = $"subject '{subject.Id}'"
        let path = subject.Path

        if isNull path.Times || isNull path.Values then
            let lacking = if isNull path.Times then "times" else "values"
            bad $"{what} has no {lacking} (null); give them or leave the subject out"

        if path.Rows = 0 then
            bad $"{what} has no visits; leave it out"

        if path.Values.GetLength 0 <> path.Rows || path.Columns <> channels.Length then
            let shape = $"{path.Values.GetLength 0} x {path.Columns}"

            bad
                $"the values of {what} are {shape} for {path.Rows} times and {channels.Length} channels; give a row for each time and a column for each channel, NaN where a value is missing"

        for i in 0 .. path.Rows - 1 do
            if not (Double.IsFinite path.Times[i]) then
                bad $"visit {i} of {what} has the time {path.Times[i]}; remove the row"

            if i > 0 && not (path.Times[i] > path.Times[i - 1]) then
                let relation = if path.Times[i] = path.Times[i - 1] then "repeats" else "comes before"

                bad
                    $"the times of {what} do not rise: visit {i} at {path.Times[i]} {relation} the one at {path.Times[i - 1]}; sort the rows by time and keep one of each time"

            for j in 0 .. channels.Length - 1 do
                if Double.IsInfinity path.Values[i, j] then
                    bad
                        $"visit {i} of {what} has {path.Values[i, j]} in the channel '{channels[j]}'; correct it or write NaN for missing"

        if subject.Statics.Length <> statics.Length then
            bad $"{what} has {subject.Statics.Length} covariates for {statics.Length} names"

        for j in 0 .. statics.Length - 1 do
            if Double.IsInfinity subject.Statics[j] then
                bad
                    $"{what} has {subject.Statics[j]} in the covariate '{statics[j]}'; correct it or write NaN for missing"

        if subject.Target.Length <> 0 && subject.Target.Length <> targets.Length then
            bad $"{what} has {subject.Target.Length} targets for {targets.Length} names"

        if not (Array.forall Double.IsFinite subject.Target) then
            let list = String.Join(", ", subject.Target)
            bad $"{what} has the target {list}; it must be finite: leave the subject out of training"

        if not (isNull subject.VisitTargets) then
            let rows, columns = subject.VisitTargets.GetLength 0, subject.VisitTargets.GetLength 1

            if rows <> path.Rows || columns <> visitTargets then
                bad $"{what} has visit targets {rows} x {columns} for {path.Rows} visits and {visitTargets} names"

    /// Names of the channels.
    member _.Channels = channels
    /// Names of the covariates that do not change.
    member _.StaticNames = statics
    /// Names of the targets of a subject.
    member _.TargetNames = targets
    /// Names of the targets of a visit.
    member _.VisitTargetNames = visitTargets
    /// The subjects.
    member _.Subjects = subjects
    /// Number of subjects.
    member _.Count = subjects.Length

    /// A checked data set. ArgumentException, naming the subject, the visit and the column, for no subjects, repeated names, a subject without
    /// visits, times that do not rise strictly, and values that are infinite or do not fit the names. A channel may be without any value here:
    /// that is refused where a model is fitted, and fine where one predicts.
    static member Create
        (channels: string[], statics: string[], targets: string[], visitTargets: string[], subjects: IrregularSubject[])
        : IrregularSeries =
        if subjects.Length = 0 then
            bad "no subjects given; give at least one"

        if channels.Length = 0 then
            bad "the data have no channels; give at least one beside the times"

        checkNames "channels" channels
        checkNames "covariates" statics
        checkNames "targets" targets
        checkNames "visit targets" visitTargets
        checkNames "subjects" (subjects |> Array.map _.Id)

        for subject in subjects do
            checkSubject channels statics targets visitTargets.Length subject

        IrregularSeries(channels, statics, targets, visitTargets, subjects)

    /// A data set from times and values alone: times[i] of length n_i, values[i] of shape (n_i, channels), and a target for each subject (null
    /// where there is none).
    static member Of(times: float[][], values: float[,][], targets: float[]) : IrregularSeries =
        if times.Length <> values.Length || (not (isNull targets) && targets.Length <> times.Length) then
            let found = if isNull targets then times.Length else targets.Length
            bad $"{times.Length} series of times, {values.Length} of values and {found} targets do not fit each other"

        let channels =
            values
            |> Array.tryFind (isNull >> not)
            |> Option.map (fun first -> first.GetLength 1)
            |> Option.defaultValue 0

        let subjects =
            times
            |> Array.mapi (fun i t -> {
                Id = string i
                Path = { Times = t; Values = values[i] }
                Statics = [||]
                Target = if isNull targets then [||] else [| targets[i] |]
                VisitTargets = null
            })

        let names = if isNull targets then [||] else [| "target" |]
        IrregularSeries.Create(Array.init channels (fun j -> $"x{j}"), [||], names, [||], subjects)

    /// A data set from a table with a row for each visit: who, when, and columns of numbers (NaN where missing). Rows of different
    /// subjects may alternate; those of one subject must rise in time. Statics and targets must be the same in all rows of a subject.
    /// ArgumentException, naming the row (from 0), the subject and the column, for columns of different lengths, values that change
    /// within a subject, and what Create refuses.
    static member FromColumns
        (
            ids: string[],
            times: float[],
            channels: (string * float[])[],
            statics: (string * float[])[],
            targets: (string * float[])[],
            visitTargets: (string * float[])[]
        ) : IrregularSeries =
        if times.Length <> ids.Length then
            bad $"{ids.Length} subject names and {times.Length} times; they are columns of one table"

        for name, column in Array.concat [ channels; statics; targets; visitTargets ] do
            if column.Length <> ids.Length then
                bad $"the column '{name}' has {column.Length} rows; the table has {ids.Length}"

        let rows = Dictionary<string, List<int>>()
        let order = List<string>()

        for i in 0 .. ids.Length - 1 do
            match rows.TryGetValue ids[i] with
            | true, list -> list.Add i
            | _ ->
                order.Add ids[i]
                rows[ids[i]] <- List<int> [ i ]

        let constant (id: string) (mine: List<int>) (name: string, column: float[]) =
            let first = column[mine[0]]

            for row in mine do
                if not (column[row].Equals first) then
                    bad
                        $"'{name}' of subject '{id}' is {first} in row {mine[0]} and {column[row]} in row {row}; it must not change within a subject"

            first

        let matrix (mine: List<int>) (columns: (string * float[])[]) =
            Array2D.init mine.Count columns.Length (fun i j -> (snd columns[j])[mine[i]])

        let subjects = [|
            for id in order do
                let mine = rows[id]

                for k in 1 .. mine.Count - 1 do
                    let last, now = times[mine[k - 1]], times[mine[k]]

                    if not (now > last) then
                        let relation = if now = last then "repeats" else "comes before"

                        bad
                            $"the times of subject '{id}' do not rise: {now} in row {mine[k]} {relation} {last} in row {mine[k - 1]}; sort the rows by time and keep one of each time"

                {
                    Id = id
                    Path = { Times = [| for row in mine -> times[row] |]; Values = matrix mine channels }
                    Statics = statics |> Array.map (constant id mine)
                    Target = targets |> Array.map (constant id mine)
                    VisitTargets = if visitTargets.Length = 0 then null else matrix mine visitTargets
                }
        |]

        let names = Array.map fst
        IrregularSeries.Create(names channels, names statics, names targets, names visitTargets, subjects)

    /// A digest (SHA-256) of everything in it, so that a resumed training knows its data again.
    member internal _.Digest: string =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256

        let addNumbers (values: float[]) =
            hash.AppendData(BitConverter.GetBytes values.Length)
            hash.AppendData(MemoryMarshal.AsBytes(ReadOnlySpan values))

        let addNames (names: string[]) =
            for name in names do
                hash.AppendData(Text.Encoding.UTF8.GetBytes(name + "\000"))

        let numbers (table: float[,]) = if isNull table then [||] else table |> Seq.cast<float> |> Seq.toArray
        addNames (Array.concat [ channels; statics; targets; visitTargets ])

        for subject in subjects do
            addNames [| subject.Id |]
            addNumbers subject.Path.Times
            addNumbers (numbers subject.Path.Values)
            addNumbers subject.Statics
            addNumbers subject.Target
            addNumbers (numbers subject.VisitTargets)

        Convert.ToHexString(hash.GetHashAndReset())

    /// The subjects at these indices.
    member _.Subset(indices: int[]) : IrregularSeries =
        IrregularSeries(channels, statics, targets, visitTargets, indices |> Array.map (fun i -> subjects[i]))

    /// The same subjects with other targets (one array for each).
    member _.WithTargets(names: string[], values: float[][]) : IrregularSeries =
        if values.Length <> subjects.Length then
            bad $"{values.Length} targets for {subjects.Length} subjects"

        let changed = Array.map2 (fun subject target -> { subject with Target = target }) subjects values
        IrregularSeries.Create(channels, statics, names, visitTargets, changed)

    /// What was known at `time`: visits up to and at it. Subjects without any by then are left out.
    member _.Until(time: float) : IrregularSeries =
        let cut (subject: IrregularSubject) =
            let kept = subject.Path.Times |> Array.filter (fun t -> t <= time) |> Array.length

            let visits =
                if isNull subject.VisitTargets then
                    null
                else
                    Array2D.init kept (subject.VisitTargets.GetLength 1) (fun i j -> subject.VisitTargets[i, j])

            { subject with Path = subject.Path.Slice(0, kept); VisitTargets = visits }

        let left = subjects |> Array.map cut |> Array.filter (fun subject -> subject.Path.Rows > 0)

        if left.Length = 0 then
            bad $"no subject has a visit up to the time {time}"

        IrregularSeries(channels, statics, targets, visitTargets, left)

/// How everything here is timed, and the line of JSON that each measurement prints.
module Continuum.Bench.Measure

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Runtime.InteropServices
open System.Text.Json

/// What the command line asked for.
type Settings = { Json: bool; Runs: int; Threads: int }

/// One line of output. NaN, -1 and "" mean: does not apply.
type Line = {
    Workload: string
    Variant: string
    Seconds: float
    Runs: int
    Evaluations: int
    Steps: int
    Rejected: int
    Error: float
    Overhead: float
    Allocated: int64
    Notes: string
}

let line workload variant runs seconds = {
    Workload = workload
    Variant = variant
    Seconds = seconds
    Runs = runs
    Evaluations = -1
    Steps = -1
    Rejected = -1
    Error = nan
    Overhead = nan
    Allocated = -1L
    Notes = ""
}

/// Highest resident memory of this process so far in MiB; NaN where /proc is not.
let peakResident () =
    if File.Exists "/proc/self/status" then
        let text =
            File.ReadAllLines "/proc/self/status"
            |> Array.find (fun l -> l.StartsWith("VmHWM:", StringComparison.Ordinal))

        let number = text.Substring(6).Replace("kB", "").Trim()
        Double.Parse(number, CultureInfo.InvariantCulture) / 1024.0
    else
        nan

let private object' (line: Line) =
    use stream = new MemoryStream()

    do
        use writer = new Utf8JsonWriter(stream)

        let number (name: string) (value: float) =
            if Double.IsFinite value then
                writer.WriteNumber(name, value)
            else
                writer.WriteNull name

        let count (name: string) (value: int64) =
            if value >= 0L then writer.WriteNumber(name, value) else writer.WriteNull name

        writer.WriteStartObject()
        writer.WriteString("workload", line.Workload)
        writer.WriteString("variant", line.Variant)
        number "seconds_median" line.Seconds
        writer.WriteNumber("runs", line.Runs)
        count "nfe" line.Evaluations
        count "steps" line.Steps
        count "rejected" line.Rejected
        number "error_vs_reference" line.Error
        number "overhead_ratio" line.Overhead
        count "allocated_bytes" line.Allocated
        number "peak_rss_mib" (Math.Round(peakResident (), 1))
        writer.WriteString("notes", line.Notes)
        writer.WriteEndObject()

    Text.Encoding.UTF8.GetString(stream.ToArray())

/// Prints a line, as JSON or for people.
let print (settings: Settings) (line: Line) =
    if settings.Json then
        Console.WriteLine(object' line)
    else
        let shown name format value =
            if Double.IsFinite value then
                $"  {name} " + String.Format(CultureInfo.InvariantCulture, format, value)
            else
                ""

        let count name value = if value >= 0L then $"  {name} {value}" else ""

        Console.WriteLine(
            $"{line.Workload, -20} {line.Variant, -24}"
            + shown "ms" "{0,10:0.0000}" (line.Seconds * 1e3)
            + count "nfe" line.Evaluations
            + count "steps" line.Steps
            + count "rejected" line.Rejected
            + shown "error" "{0:0.00e+00}" line.Error
            + shown "overhead" "{0:0.000}" line.Overhead
            + count "bytes" line.Allocated
            + (if line.Notes = "" then "" else $"  [{line.Notes}]")
        )

let median (values: float[]) =
    let sorted = Array.sort values
    let n = sorted.Length
    if n % 2 = 1 then sorted[n / 2] else 0.5 * (sorted[n / 2 - 1] + sorted[n / 2])

let private shortest = 0.05

/// Seconds a call of several samples: by the clock, and of this thread's processor time, which a busy machine disturbs less.
type Series = { Wall: float[]; Cpu: float[] }

[<Struct; StructLayout(LayoutKind.Sequential)>]
type private TimeSpec =
    val Seconds: int64
    val Nanoseconds: int64

[<DllImport("libc", EntryPoint = "clock_gettime")>]
extern int private clockGetTime(int clock, TimeSpec& time)

/// Processor time of this thread in seconds; NaN where the system does not tell.
let private processor () =
    let mutable now = TimeSpec()

    // CLOCK_THREAD_CPUTIME_ID
    if OperatingSystem.IsLinux() && clockGetTime (3, &now) = 0 then
        float now.Seconds + 1e-9 * float now.Nanoseconds
    else
        nan

let private time (action: unit -> unit) (inner: int) =
    let start = Stopwatch.GetTimestamp()
    let used = processor ()

    for _ in 1..inner do
        action ()

    let cpu = processor () - used
    struct (Stopwatch.GetElapsedTime(start).TotalSeconds / float inner, cpu / float inner)

/// How many calls fill one sample.
let private fill (calls: int) (action: unit -> unit) =
    let struct (once, _) = time action calls
    if once >= shortest then 1 else int (ceil (shortest / once))

/// Runs the action until the JIT has nothing left to improve, and returns how many calls fill one sample.
let private warmUp (action: unit -> unit) =
    // Tiers change after 30 calls and a quiet tenth of a second, twice with profiling.
    for _ in 1..4 do
        let start = Stopwatch.GetTimestamp()
        let mutable calls = 0

        while calls < 2 || (Stopwatch.GetElapsedTime(start).TotalSeconds < 0.3 && calls < 400) do
            action ()
            calls <- calls + 1

        Threading.Thread.Sleep 150

    fill 3 action

let private sampleFilled (runs: int) (actions: (unit -> unit)[]) (inner: int[]) : Series[] =
    let fresh () = { Wall = Array.zeroCreate runs; Cpu = Array.zeroCreate runs }
    let series = actions |> Array.map (fun _ -> fresh ())
    GC.Collect()

    for r in 0 .. runs - 1 do
        for a in 0 .. actions.Length - 1 do
            let struct (wall, cpu) = time actions[a] inner[a]
            series[a].Wall[ r ] <- wall
            series[a].Cpu[ r ] <- cpu

    series

/// Seconds a call, runs samples each, taken in turn so that the noise of the machine falls on all of them alike.
let sampleTogether (runs: int) (actions: (unit -> unit)[]) : Series[] =
    sampleFilled runs actions (actions |> Array.map warmUp)

/// The same for actions whose code has been warmed up before.
let sampleWarm (runs: int) (actions: (unit -> unit)[]) : Series[] =
    sampleFilled runs actions (actions |> Array.map (fill 1))

/// Median seconds a call.
let sample runs action =
    let series = sampleTogether runs [| action |]
    median series[0].Wall

/// Median over the runs of the ratio of two series taken together.
let ratio (numerator: Series) (denominator: Series) = median (Array.map2 (/) numerator.Wall denominator.Wall)

/// The same by processor time.
let cpuRatio (numerator: Series) (denominator: Series) = median (Array.map2 (/) numerator.Cpu denominator.Cpu)

/// Managed bytes that one call allocates on this thread.
let allocated (action: unit -> unit) =
    action ()
    let before = GC.GetAllocatedBytesForCurrentThread()
    action ()
    GC.GetAllocatedBytesForCurrentThread() - before

/// The number that this program prints when it is started anew with these arguments, so that what it measures is its own; NaN where it
/// prints none.
let child (variables: (string * string) list) (arguments: string list) : float =
    let info =
        ProcessStartInfo(Environment.ProcessPath, RedirectStandardOutput = true, RedirectStandardError = true)

    // Started by `dotnet Continuum.Bench.dll`, the process is dotnet.
    if Path.GetFileNameWithoutExtension Environment.ProcessPath = "dotnet" then
        info.ArgumentList.Add(Reflection.Assembly.GetEntryAssembly().Location)

    for argument in arguments do
        info.ArgumentList.Add argument

    for name, value in variables do
        info.Environment[name] <- value

    use child = Process.Start info
    let text = child.StandardOutput.ReadToEndAsync()
    child.StandardError.ReadToEnd() |> ignore
    child.WaitForExit()

    match Double.TryParse(text.Result.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture) with
    | true, value when child.ExitCode = 0 -> value
    | _ -> nan

/// The folder that holds Suite.sln, seen from the executable; null when it was moved elsewhere.
let root =
    let mutable folder = DirectoryInfo AppContext.BaseDirectory

    while not (isNull folder) && not (File.Exists(Path.Combine(folder.FullName, "Suite.sln"))) do
        folder <- folder.Parent

    if isNull folder then null else folder.FullName

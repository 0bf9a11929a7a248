module NativeTests

open System
open System.IO
open System.Security.Cryptography
open Expecto
open Continuum

/// TorchSharp's shim as its package has it, and the copy that the build may have relaxed.
let private packaged =
    let root =
        match Environment.GetEnvironmentVariable "NUGET_PACKAGES" with
        | null
        | "" -> Path.Combine(Environment.GetFolderPath Environment.SpecialFolder.UserProfile, ".nuget", "packages")
        | folder -> folder

    let version = (NativeLibraries.report ()).TorchSharpVersion
    Path.Combine(root, "torchsharp", version, "runtimes", "linux-x64", "native", "libLibTorchSharp.so")

let private built = Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so")

let private hash (path: string) = Convert.ToHexString(SHA256.HashData(File.ReadAllBytes path))

let private ok result =
    match result with
    | Ok value -> value
    | Error reason -> failtest reason

let private refusal result =
    match result with
    | Ok _ -> failtest "was accepted"
    | Error(reason: string) -> reason

let private withFolder (body: string -> unit) =
    let folder = Directory.CreateTempSubdirectory("continuum-tests-").FullName

    try
        body folder
    finally
        Directory.Delete(folder, true)

/// What the shim asks of libstdc++, less the given versions: an older system, on any system.
let private systemWithout (absent: string list) image =
    ok (ElfVersions.required "the shim" image)
    |> Array.map _.Version
    |> Array.filter (fun version -> not (List.contains version absent))

let private onLinux name body =
    test name {
        if not (OperatingSystem.IsLinux() && File.Exists packaged) then
            skiptest $"needs Linux and {packaged}"

        body (File.ReadAllBytes packaged)
    }

let private relaxation =
    testList "relaxing" [
        onLinux "marks exactly the missing version, and changes one byte" (fun image ->
            let old = systemWithout [ ElfVersions.Relaxable ] image
            let copy = ok (ElfVersions.relax "the shim" old image)
            Expect.equal copy.Relaxed [| ElfVersions.Relaxable |] "the versions made weak"
            let changed = Array.fold2 (fun n a b -> if a = b then n else n + 1) 0 image copy.Image
            Expect.equal changed 1 "bytes changed"

            let weak = ok (ElfVersions.required "the copy" copy.Image) |> Array.filter _.Weak |> Array.map _.Version

            Expect.equal weak [| ElfVersions.Relaxable |] "the weak versions of the copy")

        onLinux "twice is once" (fun image ->
            let old = systemWithout [ ElfVersions.Relaxable ] image
            let once = ok (ElfVersions.relax "the shim" old image)
            let twice = ok (ElfVersions.relax "the copy" old once.Image)
            Expect.isEmpty twice.Relaxed "nothing is left to relax"
            Expect.equal twice.Image once.Image "the bytes stay")

        onLinux "does nothing where libstdc++ has every version" (fun image ->
            let copy = ok (ElfVersions.relax "the shim" (systemWithout [] image) image)
            Expect.isEmpty copy.Relaxed "nothing is relaxed"
            Expect.equal copy.Image image "the bytes stay")

        onLinux "refuses a system that lacks more than the marker" (fun image ->
            let older = systemWithout [ ElfVersions.Relaxable; "GLIBCXX_3.4.30" ] image
            let reason = refusal (ElfVersions.relax "the shim" older image)
            Expect.stringContains reason "GLIBCXX_3.4.30" "the reason names what is missing")

        onLinux "refuses a shim that uses the version for more than the marker" (fun image ->
            // Another symbol's name where the marker's was: the shim of a future TorchSharp.
            let other = Array.copy image
            let at = image.AsSpan().IndexOf(ReadOnlySpan(Text.Encoding.ASCII.GetBytes ElfVersions.Marker))
            other[at + 4] <- byte 'x'
            let old = systemWithout [ ElfVersions.Relaxable ] image
            let reason = refusal (ElfVersions.relax "the shim" old other)
            Expect.stringContains reason ElfVersions.Relaxable "the reason names the version")

        test "refuses a file that is no ELF" {
            let text = Text.Encoding.UTF8.GetBytes(String.replicate 100 "not a library ")
            let reason = refusal (ElfVersions.relax "notes.txt" [||] text)
            Expect.stringContains reason "notes.txt is not" "the reason names the file"
        }

        onLinux "refuses a file that was cut short" (fun image ->
            let reason = refusal (ElfVersions.relax "the shim" [||] image[..9999])
            Expect.stringContains reason "damaged" "the reason")

        onLinux "the build's task and ElfVersions write the same bytes" (fun image ->
            if not (File.Exists built) then
                skiptest $"{built} does not exist"

            let libstdcxx =
                (NativeLibraries.report ()).Libraries |> Seq.find (fun library -> library.Name = "libstdc++")

            let available = ok (ElfVersions.defined libstdcxx.Path (File.ReadAllBytes libstdcxx.Path))
            let expected = ok (ElfVersions.relax packaged available image)
            Expect.isTrue (expected.Image = File.ReadAllBytes built) $"{built} differs from the relaxed {packaged}")
    ]

let private writing =
    testList "writing" [
        test "replaces a file, and leaves no other behind" {
            withFolder (fun folder ->
                let path = Path.Combine(folder, "library.so")
                File.WriteAllText(path, "old")
                ElfVersions.writeAtomically path [| 1uy; 2uy |]
                Expect.equal (File.ReadAllBytes path) [| 1uy; 2uy |] "the content"
                Expect.equal (Directory.GetFiles folder).Length 1 "files in the folder")
        }

        onLinux "never writes through a link" (fun image ->
            withFolder (fun folder ->
                let source, link = Path.Combine(folder, "source.so"), Path.Combine(folder, "link.so")
                File.WriteAllBytes(source, image)
                File.CreateSymbolicLink(link, source) |> ignore
                let before = hash source
                ElfVersions.writeAtomically link [| 1uy |]
                Expect.equal (hash source) before "the linked file"
                Expect.equal (File.ReadAllBytes link) [| 1uy |] "the link's place"))

        test "many writers at once leave one whole file" {
            withFolder (fun folder ->
                let path = Path.Combine(folder, "library.so")
                let images = Array.init 16 (fun i -> Array.create 100_000 (byte i))
                Array.Parallel.iter (ElfVersions.writeAtomically path) images
                Expect.contains images (File.ReadAllBytes path) "one of the images"
                Expect.equal (Directory.GetFiles folder).Length 1 "files in the folder")
        }
    ]

let private loading =
    testList "loading" [
        test "ensure is safe from many threads, and tensors work after it" {
            Array.Parallel.iter (fun _ -> NativeLibraries.ensure ()) [| 1..32 |]
            use ones = TorchSharp.torch.ones 3L
            use sum = ones.sum ()
            Expect.equal (sum.item<float32>()) 3.0f "1 + 1 + 1"
        }

        test "report says what is loaded and finds nothing wrong" {
            let report = NativeLibraries.report ()
            Expect.isTrue report.IsUsable "libtorch is usable"
            Expect.isGreaterThan report.Threads 0 "threads"
            Expect.isEmpty report.Problems "problems"

            if OperatingSystem.IsLinux() then
                for library in report.Libraries do
                    if library.Name <> "libtorch_cuda" then
                        Expect.isTrue (File.Exists library.Path) $"{library.Name} is at '{library.Path}'"
        }

        test "the package's shim is as NuGet wrote it" {
            if not (File.Exists packaged) then
                skiptest $"{packaged} does not exist"

            let needs = ok (ElfVersions.required packaged (File.ReadAllBytes packaged))
            Expect.isFalse (Array.exists _.Weak needs) $"{packaged} was changed: delete its folder and restore again"
        }
    ]

/// The natives: reading and relaxing ELF versions, and loading libtorch.
let tests: Test = testList "Native libraries" [ relaxation; writing; loading ]

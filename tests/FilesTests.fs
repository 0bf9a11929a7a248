module FilesTests

open System
open System.Collections.Generic
open System.IO
open System.IO.Compression
open System.Text
open Continuum
open Claims
open FileClaims
open Expecto
open FsCheck.FSharp
open TorchSharp

/// Bytes made with Python's struct, json and zipfile, following the published formats, not with the code under test.
module private Golden =
    let safetensorsMixed =
        Convert.FromBase64String
            "cAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJuIjp7ImR0eXBlIjoiSTY0Iiwic2hhcGUiOlsyXSwiZGF0\
             YV9vZmZzZXRzIjpbMCwxNl19LCJ3Ijp7ImR0eXBlIjoiRjY0Iiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOlsxNiwyNF19LCJi\
             Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsxLDNdLCJkYXRhX29mZnNldHMiOlsyNCwzNl19LCJlIjp7ImR0eXBlIjoiRjMyIiwi\
             c2hhcGUiOlswLDRdLCJkYXRhX29mZnNldHMiOlszNiwzNl19LCJoIjp7ImR0eXBlIjoiQkYxNiIsInNoYXBlIjpbMl0sImRhdGFf\
             b2Zmc2V0cyI6WzM2LDQwXX0sIm0iOnsiZHR5cGUiOiJCT09MIiwic2hhcGUiOlszXSwiZGF0YV9vZmZzZXRzIjpbNDAsNDNdfX0g\
             IP//////////AQAAAAAAIACamZmZmZm5PwAAwD8AABDA5rFhf8A/EMABAAE="

    let npyFloat64 =
        Convert.FromBase64String
            "k05VTVBZAQB2AHsnZGVzY3InOiAnPGY4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAg\
             ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAAAAAAAAAAAAAPA/AAAAAAAA\
             AEAAAAAAAAAIQAAAAAAAABBAAAAAAAAAFkA="

    let npyInt64 =
        Convert.FromBase64String
            "k05VTVBZAQB2AHsnZGVzY3InOiAnPGk4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsKSwgfSAgICAgICAg\
             ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAr//////////wAAAAAAAAAAAAAAAAAA\
             AEA="

    let npyFortranBig =
        Convert.FromBase64String
            "k05VTVBZAgB0AAAAeydkZXNjcic6ICc+aTQnLCAnZm9ydHJhbl9vcmRlcic6IFRydWUsICdzaGFwZSc6ICgyLCAzKSwgfSAgICAg\
             ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAAAAAwAAAAEAAAAEAAAAAgAA\
             AAU="

    let npyBigFloat =
        Convert.FromBase64String
            "k05VTVBZAwB0AAAAeydkZXNjcic6ICc+ZjQnLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoMiwpLCB9ICAgICAg\
             ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAo/wAAAwBAAAA=="

    let npyBool =
        Convert.FromBase64String
            "k05VTVBZAQB2AHsnZGVzY3InOiAnfGIxJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKCksIH0gICAgICAgICAg\
             ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoB"

    let npzStored =
        Convert.FromBase64String
            "UEsDBC0AAAAAAAAAIQByrw10//////////8FABQAeC5ucHkBABAAsAAAAAAAAACwAAAAAAAAAJNOVU1QWQEAdgB7J2Rlc2NyJzog\
             JzxmOCcsICdmb3J0cmFuX29yZGVyJzogRmFsc2UsICdzaGFwZSc6ICgyLCAzKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAg\
             ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAKAAAAAAAAAAAAAAAAAADwPwAAAAAAAABAAAAAAAAACEAAAAAAAAAQQAAA\
             AAAAABZAUEsDBC0AAAAAAAAAIQAmxpfc//////////8FABQAbi5ucHkBABAAmAAAAAAAAACYAAAAAAAAAJNOVU1QWQEAdgB7J2Rl\
             c2NyJzogJzxpOCcsICdmb3J0cmFuX29yZGVyJzogRmFsc2UsICdzaGFwZSc6ICgzLCksIH0gICAgICAgICAgICAgICAgICAgICAg\
             ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAK//////////8AAAAAAAAAAAAAAAAAAABAUEsBAi0DLQAAAAAA\
             AAAhAHKvDXSwAAAAsAAAAAUAAAAAAAAAAAAAAIABAAAAAHgubnB5UEsBAi0DLQAAAAAAAAAhACbGl9yYAAAAmAAAAAUAAAAAAAAA\
             AAAAAIAB5wAAAG4ubnB5UEsFBgAAAAACAAIAZgAAALYBAAAAAA=="

    let npzDeflated =
        Convert.FromBase64String
            "UEsDBC0AAAAIAAAAIQByrw10//////////8FABQAeC5ucHkBABAAsAAAAAAAAABXAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6l\
             oG6TZqGuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GkY6CsaaOgq1CmQDLgYU8MEeynCAUBxQWgBKizkAAFBLAwQtAAAA\
             CAAAACEAJsaX3P//////////BQAUAG4ubnB5AQAQAJgAAAAAAAAASgAAAAAAAACb7BfqGxDJyFDGUK2eklqcXKRupaBuk2mhrqOg\
             npZfVFKUmBefX5SSChJ3S8wpTgWKF2ckFqQC+RrGOpo6CrUKFACu/1DAgAocAFBLAQItAy0AAAAIAAAAIQByrw10VwAAALAAAAAF\
             AAAAAAAAAAAAAACAAQAAAAB4Lm5weVBLAQItAy0AAAAIAAAAIQAmxpfcSgAAAJgAAAAFAAAAAAAAAAAAAACAAY4AAABuLm5weVBL\
             BQYAAAAAAgACAGYAAAAPAQAAAAA="


let private atomicFile =
    testList "AtomicFile.Write" [
        withPath "replaces the content and leaves nothing beside it" (fun path ->
            AtomicFile.WriteAllText(path, "old, and longer")
            AtomicFile.WriteAllText(path, "new")
            Expect.equal (File.ReadAllText path) "new" "content"
            Expect.hasLength (Directory.GetFileSystemEntries(Path.GetDirectoryName path)) 1 "files")
        withPath "a writer that fails leaves the old file and passes its own exception on" (fun path ->
            File.WriteAllText(path, "old")

            let fail () =
                AtomicFile.Write(
                    path,
                    fun stream ->
                        stream.WriteByte 1uy
                        raise (InvalidOperationException "in the middle")
                )

            failsWith<InvalidOperationException, _> [ "in the middle" ] fail
            Expect.equal (File.ReadAllText path) "old" "content"
            noLeftovers path)
        withPath "a full disk is an IOException that names path and remedy" (fun path ->
            let fail () = AtomicFile.Write(path, fun _ -> raise (IOException "No space left on device"))

            failsWith<IOException, _> [ path; "No space left"; "free space" ] fail
            Expect.isFalse (File.Exists path) "no file"
            noLeftovers path)
        withPath "a folder as path, a missing folder and an empty path are refused" (fun path ->
            let folder = Path.GetDirectoryName path
            failsWith<IOException, _> [ folder; "folder" ] (fun () -> AtomicFile.WriteAllText(folder, "x"))
            let missing = Path.Combine(folder, "no", "x.bin")

            failsWith<IOException, _> [ missing; "does not exist"; "create it" ] (fun () ->
                AtomicFile.WriteAllText(missing, "x"))

            failsWith<ArgumentException, _> [] (fun () -> AtomicFile.WriteAllText("", "x")))
        testCase "an unwritable folder is refused with path and remedy" (fun () ->
            // /sys refuses new files even to root.
            if OperatingSystem.IsLinux() then
                let error = failureOf (fun () -> AtomicFile.WriteAllText("/sys/continuum.bin", "x"))
                Expect.isTrue (error :? IOException || error :? UnauthorizedAccessException) (error.GetType().Name)
                Expect.stringContains error.Message "/sys/continuum.bin" "path"
                Expect.stringContains error.Message "permissions" "remedy")
        withPath "a read-only file is refused, permissions and links survive" (fun path ->
            if not (OperatingSystem.IsWindows()) then
                File.WriteAllText(path, "old")
                let mode = UnixFileMode.UserRead ||| UnixFileMode.UserWrite ||| UnixFileMode.GroupRead
                File.SetUnixFileMode(path, mode)
                let link = path + ".link"
                File.CreateSymbolicLink(link, path) |> ignore
                AtomicFile.WriteAllText(link, "new")
                Expect.equal (File.ReadAllText path) "new" "written through the link"
                Expect.isNotNull (FileInfo(link).LinkTarget) "still a link"
                Expect.equal (File.GetUnixFileMode path) mode "permissions"
                File.SetUnixFileMode(path, UnixFileMode.UserRead)

                failsWith<UnauthorizedAccessException, _> [ path; "read-only" ] (fun () ->
                    AtomicFile.WriteAllText(path, "x"))

                Expect.equal (File.ReadAllText path) "new" "unchanged")
        testCase "a device is written in place" (fun () ->
            if not (OperatingSystem.IsWindows()) then
                AtomicFile.WriteAllText("/dev/null", "x")
                use sink = File.OpenWrite "/dev/null"
                sink.WriteByte 1uy
                Expect.equal (FileInfo("/dev/null").Length) 0L "still the device")
    ]

/// Arrays of every element type and of ranks 0 to 3, sizes 0 to 4.
let private arrays =
    let elementTypes = Enum.GetValues<ElementType>()

    let array name =
        gen {
            let! kind = Gen.elements elementTypes
            let! rank = Gen.choose (0, 3)
            let! shape = Gen.arrayOfLength rank (Gen.choose (0, 4) |> Gen.map int64)
            let width = NamedArray(name, kind, [| 0L |], [||]) |> fun empty -> empty.ToTensor().element_size()
            let largest = if kind = ElementType.Bool then 1 else 255

            let! bytes =
                Gen.arrayOfLength (int (Array.fold (*) width shape)) (Gen.choose (0, largest) |> Gen.map byte)

            return NamedArray(name, kind, shape, bytes)
        }

    gen {
        let! count = Gen.choose (0, 5)
        let names = [| "layer.0.weight"; "h"; "Δt \"x\"\n"; "a\\b"; "z" |]
        return! [| for i in 0 .. count - 1 -> array names[i] |] |> Gen.sequenceToArray
    }

let private sorted (arrays: NamedArray[]) = arrays |> Array.sortBy _.Name

let private safetensorsBytes (header: string) (data: byte[]) =
    let header = Encoding.UTF8.GetBytes header
    Array.concat [ BitConverter.GetBytes(int64 header.Length); header; data ]

let private entry name dtype shape first last =
    $"\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{first},{last}]}}"

/// Name, bytes, and what the error must say.
let private hostileSafetensors = [
    let file entries size = safetensorsBytes ("{" + String.concat "," entries + "}") (Array.zeroCreate size)

    "an empty file", [||], "only 0 bytes"
    "a text file", Encoding.ASCII.GetBytes "time,hare,lynx\n1900,30,4\n", "not a safetensors file"
    "a zip archive", Golden.npzStored, "zip archive"
    "a header longer than the file", BitConverter.GetBytes 1000L, "header of 1000 bytes"
    "a header of 2^64-1 bytes", BitConverter.GetBytes UInt64.MaxValue, "header of 18446744073709551615 bytes"
    "a header that is no object", safetensorsBytes "[1,2]" [||], "begin with '{'"
    "an empty header", safetensorsBytes "" [||], "begin with '{'"
    "a header that is no JSON", safetensorsBytes "{\"a\":" [||], "not valid JSON"
    "a header of deep nesting", safetensorsBytes (String.replicate 5000 "{\"a\":") [||], "not valid JSON"

    "a header that is no UTF-8",
    Array.concat [ BitConverter.GetBytes 4L; [| byte '{'; 0xFFuy; 0xFEuy; byte '}' |] ],
    "UTF-8"

    "a lone surrogate", file [ entry "\\ud800" "U8" "[0]" 0 0 ] 0, "UTF-8"
    "a duplicate name", file [ entry "a" "U8" "[1]" 0 1; entry "a" "U8" "[1]" 1 2 ] 2, "'a' twice"
    "an overlap", file [ entry "a" "U8" "[2]" 0 2; entry "b" "U8" "[2]" 1 3 ] 3, "overlap"
    "a hole", file [ entry "a" "U8" "[1]" 0 1; entry "b" "U8" "[1]" 2 3 ] 3, "bytes 1 to 2"
    "data after the last tensor", file [ entry "a" "U8" "[1]" 0 1 ] 9, "last 8 bytes"
    "data before the first tensor", file [ entry "a" "U8" "[1]" 4 5 ] 5, "bytes 0 to 4"
    "truncated data", file [ entry "a" "F64" "[2]" 0 16 ] 15, "truncated"
    "a size that is not the shape's", file [ entry "a" "F32" "[3]" 0 8 ] 8, "(3)"
    "a shape that overflows", file [ entry "a" "F32" "[4294967296,4294967296]" 0 0 ] 0, "does not fit"
    "a negative size", file [ entry "a" "F32" "[-1]" 0 4 ] 4, "'-1'"
    "falling offsets", file [ entry "a" "U8" "[0]" 4 0 ] 4, "'data_offsets'"

    "a fractional offset",
    safetensorsBytes "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1.5]}}" [| 0uy |],
    "'1.5'"

    "an unknown element type", file [ entry "a" "Q7" "[1]" 0 1 ] 1, "'Q7'"
    "a complex tensor", file [ entry "spectrum" "C64" "[1]" 0 8 ] 8, "'spectrum' has the element type 'C64'"
    "a missing field", safetensorsBytes "{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}" [||], "'data_offsets'"
    "metadata that is no text", safetensorsBytes "{\"__metadata__\":{\"a\":1}}" [||], "metadata 'a'"
    "a tensor that is no object", safetensorsBytes "{\"a\":1}" [||], "tensor 'a' is not"
    "a name of line breaks", file [ entry "a\\nb" "Q7" "[1]" 0 1 ] 1, "'a?b'"
]

let private safetensors =
    testList "Safetensors" [
        withPath "golden file: values of every kind are read, and written back byte for byte" (fun path ->
            File.WriteAllBytes(path, Golden.safetensorsMixed)
            let file = Safetensors.Read path
            Expect.equal file.Metadata["format"] "pt" "metadata"
            Expect.equal (file.Find("n").ToInt64s()) [| -1L; 9007199254740993L |] "int64"
            Expect.equal (file.Find("w").ToDoubles()) [| 0.1 |] "float64"
            Expect.isEmpty (file.Find("w").Shape) "a single number"
            Expect.equal (file.Find("b").ToSingles()) [| 1.5f; -2.25f; 3e38f |] "float32"
            Expect.equal (file.Find("h").ToDoubles()) [| 1.5; -2.25 |] "bfloat16"
            Expect.equal (file.Find("m").ToInt64s()) [| 1L; 0L; 1L |] "bool"
            Expect.equal (file.Find("e").Shape) [| 0L; 4L |] "empty"
            failsWith<InvalidDataException, _> [ path; "'q'"; "'n'" ] (fun () -> file.Find "q")
            Safetensors.Write(path, Array.rev file.Arrays, file.Metadata)
            // The two F32 tensors follow the reference's order, by name; the golden file has it too.
            Expect.equal (File.ReadAllBytes path) Golden.safetensorsMixed "bytes")
        withPath "the header is padded with spaces to a multiple of 8" (fun path ->
            Safetensors.Write(path, [| NamedArray.FromSingles("attn0", [| 1L; 2L; 3L |], Array.zeroCreate 6) |])
            let text = "{\"attn0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],\"data_offsets\":[0,24]}}"
            let expected = safetensorsBytes (text.PadRight 64) (Array.zeroCreate 24)
            Expect.equal (File.ReadAllBytes path) expected "bytes")
        testProperty "what is written is read back: arrays, names, shapes, metadata"
        <| Prop.forAll (Arb.fromGen arrays) (fun arrays ->
            inFolder (fun folder ->
                let path = Path.Combine(folder, "a.safetensors")
                let metadata = dict [ "κ", "line\n\"quoted\""; "", "" ] |> Dictionary
                Safetensors.Write(path, arrays, metadata)
                let file = Safetensors.Read path
                Expect.equal (sorted file.Arrays) (sorted arrays) "arrays"
                Expect.equal (Dictionary file.Metadata |> Seq.toArray) (Seq.toArray metadata |> Array.rev) "metadata"
                let start = 8L + BitConverter.ToInt64(File.ReadAllBytes path, 0)
                Expect.equal (start % 8L) 0L "alignment"))
        testProperty "tensors: to libtorch and back keeps every bit, and every tensor is accounted for"
        <| Prop.forAll (Arb.fromGen arrays) (fun arrays ->
            let live () = DisposeScopeManager.Statistics.ThreadTotalLiveCount
            let before = live ()

            for array in arrays do
                use tensor = array.ToTensor()
                Expect.equal (live ()) (before + 1L) "one tensor"
                Expect.equal tensor.shape array.Shape "shape"
                Expect.equal (NamedArray.FromTensor(array.Name, tensor)) array "array"

            Expect.equal (live ()) before "live tensors")
        withPath "tensors that are views, require gradients or are transposed are stored by value" (fun path ->
            use _ = torch.NewDisposeScope()
            let m = torch.arange(6, dtype = torch.float64).reshape(2L, 3L)
            m.requires_grad <- true
            let tensors = dict [ "t", m.t (); "s", m[torch.TensorIndex.Ellipsis, torch.TensorIndex.Slice(1, 3)] ]
            Safetensors.WriteTensors(path, tensors)
            let back = Safetensors.ReadTensors path
            Expect.equal (back["t"].data<float>().ToArray()) [| 0.; 3.; 1.; 4.; 2.; 5. |] "transposed"
            Expect.equal back["s"].shape [| 2L; 2L |] "slice"
            Expect.isFalse back["t"].requires_grad "plain values"
            let z = torch.complex (m, m)

            failsWith<ArgumentException, _> [ "'z'"; "complex"; "view_as_real" ] (fun () ->
                NamedArray.FromTensor("z", z)))
        testList "hostile files are refused in one line with file, defect and remedy" [
            for name, bytes, part in hostileSafetensors do
                withPath name (fun path ->
                    File.WriteAllBytes(path, bytes)
                    failsWith<InvalidDataException, _> [ path; part; "; " ] (fun () -> Safetensors.Read path))
        ]
        testProperty "no prefix of a file is read"
        <| Prop.forAll (Arb.fromGen (Gen.choose (0, Golden.safetensorsMixed.Length - 1))) (fun length ->
            inFolder (fun folder ->
                let path = Path.Combine(folder, "a")
                File.WriteAllBytes(path, Golden.safetensorsMixed[.. length - 1])
                failsWith<InvalidDataException, _> [ path ] (fun () -> Safetensors.Read path)))
        onlyRefuses "a changed byte is read or refused, never another exception" Golden.safetensorsMixed (fun path ->
            Safetensors.Read path |> ignore)
        withPath "what a file cannot say is refused before it is written" (fun path ->
            let one name = NamedArray.FromDoubles(name, [| 1L |], [| 1. |])
            failsWith<ArgumentException, _> [ "'a'" ] (fun () -> Safetensors.Write(path, [| one "a"; one "a" |]))

            failsWith<ArgumentException, _> [ "__metadata__" ] (fun () ->
                Safetensors.Write(path, [| one "__metadata__" |]))

            failsWith<ArgumentException, _> [ "'a'"; "(2)" ] (fun () ->
                NamedArray.FromDoubles("a", [| 2L |], [| 1. |]))

            failsWith<InvalidOperationException, _> [ "'a'" ] (fun () -> (one "a").ToInt64s())
            failsWith<FileNotFoundException, _> [ path ] (fun () -> Safetensors.Read path)
            failsWith<IOException, _> [ "folder" ] (fun () -> Safetensors.Read(Path.GetDirectoryName path)))
    ]

let private npyBytes (header: string) (data: byte[]) =
    Array.concat [
        [| 0x93uy |]
        "NUMPY\001\000"B
        BitConverter.GetBytes(uint16 header.Length)
        Encoding.ASCII.GetBytes header
        data
    ]

let private hostileNpy = [
    let plain = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n"
    "an empty file", [||], "only 0 bytes"
    "a text file", Encoding.ASCII.GetBytes "time,hare,lynx\n", "does not begin"
    "version 9", Array.concat [ [| 0x93uy |]; "NUMPY\009\000\000\000"B ], "version 9.0"
    "a header longer than the file", npyBytes plain [||] |> Array.take 40, "announces a header"
    "truncated data", npyBytes plain (Array.zeroCreate 15), "does not fit the 15 bytes"
    "data to spare", npyBytes plain (Array.zeroCreate 17), "does not fit the 17 bytes"
    "pickled objects", npyBytes (plain.Replace("<f8", "|O")) (Array.zeroCreate 16), "'|O'"
    "complex numbers", npyBytes (plain.Replace("<f8", "<c16")) (Array.zeroCreate 32), "'<c16'"
    "records", npyBytes (plain.Replace("'<f8'", "[('a', '<f8')]")) (Array.zeroCreate 16), "structured"
    "no shape", npyBytes (plain.Replace("shape", "form")) (Array.zeroCreate 16), "no 'shape'"
    "no order", npyBytes (plain.Replace("fortran_order", "order")) (Array.zeroCreate 16), "no 'fortran_order'"
    "a negative size", npyBytes (plain.Replace("(2,)", "(-2,)")) (Array.zeroCreate 16), "'-2,'"

    "a shape that overflows",
    npyBytes (plain.Replace("(2,)", "(4294967296, 4294967296)")) (Array.zeroCreate 16),
    "does not fit"

    "no dictionary", npyBytes "hello" (Array.zeroCreate 16), "no 'descr'"
]

let private npy =
    testList "Npy" [
        withPath "golden files: versions, byte orders, Fortran order, element types" (fun path ->
            let read (bytes: byte[]) =
                File.WriteAllBytes(path, bytes)
                Npy.Read path

            let plain = read Golden.npyFloat64
            Expect.equal plain.Name "file" "name"
            Expect.equal plain.Shape [| 2L; 3L |] "shape"
            Expect.equal (plain.ToDoubles()) [| 0.; 1.; 2.; 3.; 4.; 5.5 |] "values"
            Expect.equal ((read Golden.npyInt64).ToInt64s()) [| -1L; 0L; 1L <<< 62 |] "int64"
            Expect.equal ((read Golden.npyFortranBig).ToInt64s()) [| 0L; 1L; 2L; 3L; 4L; 5L |] "Fortran order"
            Expect.equal ((read Golden.npyBigFloat).ToSingles()) [| 1.5f; -2.25f |] "big-endian"
            Expect.equal ((read Golden.npyBool).Shape, (read Golden.npyBool).ToInt64s()) ([||], [| 1L |]) "bool")
        withPath "arrays are written byte for byte as numpy writes them" (fun path ->
            Npy.Write(path, NamedArray.FromDoubles("x", [| 2L; 3L |], [| 0.; 1.; 2.; 3.; 4.; 5.5 |]))
            Expect.equal (File.ReadAllBytes path) Golden.npyFloat64 "float64"
            Npy.Write(path, NamedArray.FromInt64s("n", [| 3L |], [| -1L; 0L; 1L <<< 62 |]))
            Expect.equal (File.ReadAllBytes path) Golden.npyInt64 "int64"
            Npy.Write(path, NamedArray("b", ElementType.Bool, [||], [| 1uy |]))
            Expect.equal (File.ReadAllBytes path) Golden.npyBool "bool")
        withPath "archives of Python's zipfile are read, stored or deflated" (fun path ->
            for bytes in [ Golden.npzStored; Golden.npzDeflated ] do
                File.WriteAllBytes(path, bytes)
                let read = Npz.Read path
                Expect.equal (read |> Array.map _.Name) [| "x"; "n" |] "names"
                Expect.equal (read[0].ToDoubles()) [| 0.; 1.; 2.; 3.; 4.; 5.5 |] "values")
        testProperty "what is written is read back, alone and in an archive"
        <| Prop.forAll (Arb.fromGen arrays) (fun arrays ->
            let arrays = arrays |> Array.filter (fun a -> a.DType <> ElementType.BFloat16)

            inFolder (fun folder ->
                for array in arrays do
                    let path = Path.Combine(folder, "a.npy")
                    Npy.Write(path, array)
                    Expect.equal (Npy.Read(path).WithName array.Name) array "array"
                    Expect.equal ((File.ReadAllBytes path).Length - array.Data.Length &&& 63) 0 "alignment"

                let path = Path.Combine(folder, "a.npz")
                Npz.Write(path, arrays)
                Expect.equal (Npz.Read path) arrays "archive"
                let bytes = File.ReadAllBytes path
                Npz.Write(path, arrays)
                Expect.equal (File.ReadAllBytes path) bytes "the same bytes again"))
        testProperty "Fortran order is the transpose's C order"
        <| Prop.forAll (Arb.fromGen (Gen.arrayOfLength 3 (Gen.choose (0, 4) |> Gen.map int64))) (fun shape ->
            inFolder (fun folder ->
                use _ = torch.NewDisposeScope()
                let path = Path.Combine(folder, "a.npy")
                let count = Array.reduce (*) shape
                let tensor = torch.arange(count, dtype = torch.float64).reshape shape
                Npy.WriteTensor(path, tensor.permute (2L, 1L, 0L))
                let data = Npy.Read(path).Data
                let sizes = String.Join(", ", shape)
                let header = $"{{'descr': '<f8', 'fortran_order': True, 'shape': ({sizes}), }}\n"
                File.WriteAllBytes(path, npyBytes header data)
                Expect.equal (Npy.ReadTensor(path).bytes.ToArray()) (tensor.bytes.ToArray()) "values"))
        testList "hostile files are refused in one line with file, defect and remedy" [
            for name, bytes, part in hostileNpy do
                withPath name (fun path ->
                    File.WriteAllBytes(path, bytes)
                    failsWith<InvalidDataException, _> [ path; part; "; " ] (fun () -> Npy.Read path))
        ]
        onlyRefuses "a changed byte of an array is read or refused" Golden.npyFortranBig (fun path ->
            Npy.Read path |> ignore)
        onlyRefuses "a changed byte of an archive is read or refused" Golden.npzDeflated (fun path ->
            Npz.Read path |> ignore)
        withPath "hostile archives are refused" (fun path ->
            let refused (bytes: byte[]) parts =
                File.WriteAllBytes(path, bytes)
                failsWith<InvalidDataException, _> (path :: parts) (fun () -> Npz.Read path)

            refused [||] [ "zip archive" ]
            refused Golden.npyFloat64 [ "zip archive" ]
            refused Golden.npzDeflated[..200] [ "zip archive" ]

            let zip (entries: (string * byte[]) list) =
                use buffer = new MemoryStream()

                let fill () =
                    use archive = new ZipArchive(buffer, ZipArchiveMode.Create, true)

                    for name, bytes in entries do
                        use stream = archive.CreateEntry(name).Open()
                        stream.Write(bytes, 0, bytes.Length)

                fill ()
                buffer.ToArray()

            refused (zip [ "a.txt", [| 1uy |] ]) [ "a.txt"; "not a .npy" ]
            refused (zip [ "a.npy", Golden.npyBool; "a.npy", Golden.npyBool ]) [ "'a.npy' twice" ]
            refused (zip [ "a.npy", Golden.npyFloat64[..150] ]) [ "a.npy"; "does not fit" ]
            let damaged = Array.copy Golden.npzStored
            damaged[170] <- damaged[170] ^^^ 0xFFuy
            refused damaged [ "x.npy"; "checksum" ])
        withPath "bfloat16 is refused, as numpy has none" (fun path ->
            let array = NamedArray("h", ElementType.BFloat16, [| 1L |], [| 0uy; 0uy |])
            failsWith<ArgumentException, _> [ "'h'"; "float32" ] (fun () -> Npy.Write(path, array)))
    ]

let private checkpoint =
    let sample = {
        Kind = "hybrid-ode"
        Config = """{"width":8}"""
        Training = ""
        Tensors = [|
            NamedArray.FromDoubles("net.0.weight", [| 2L; 2L |], [| 1.; 2.; 3.; 4. |])
            NamedArray.FromInt64s("step", [||], [| 7L |])
        |]
    }

    let writeMetadata path pairs = Safetensors.Write(path, sample.Tensors, Dictionary(dict pairs))

    testList "Checkpoint" [
        withPath "what is saved is loaded" (fun path ->
            let trained = { sample with Training = """{"epoch":3}""" }
            trained.Save path
            let back = Checkpoint.Load(path, "hybrid-ode")
            Expect.equal back.Config sample.Config "config"
            Expect.equal back.Training trained.Training "training"
            Expect.equal (sorted back.Tensors) (sorted sample.Tensors) "tensors"

            failsWith<InvalidDataException, _> [ path; "'hybrid-ode'"; "'latent-sde'" ] (fun () ->
                Checkpoint.Load(path, "latent-sde")))
        withPath "foreign files are refused by what they are" (fun path ->
            writeMetadata path [ "format", "pt" ]

            failsWith<InvalidDataException, _> [ path; "not a Continuum checkpoint"; "written by 'pt'" ] (fun () ->
                Checkpoint.Load path)

            writeMetadata path []
            failsWith<InvalidDataException, _> [ path; "has no 'continuum.schema'" ] (fun () -> Checkpoint.Load path)
            writeMetadata path [ "continuum.schema", "one" ]
            failsWith<InvalidDataException, _> [ path; "'one'" ] (fun () -> Checkpoint.Load path))
        withPath "a newer schema is refused with both versions and the remedy" (fun path ->
            writeMetadata path [ "continuum.schema", "2"; "continuum.version", "9.1.0" ]
            let parts = [ path; "schema 2"; "'9.1.0'"; "up to 1"; "update Continuum" ]
            failsWith<InvalidDataException, _> parts (fun () -> Checkpoint.Load path))
        withPath "missing or damaged metadata is named" (fun path ->
            writeMetadata path [ "continuum.schema", "1"; "continuum.config", "{}" ]
            failsWith<InvalidDataException, _> [ path; "continuum.kind" ] (fun () -> Checkpoint.Load path)
            writeMetadata path [ "continuum.schema", "1"; "continuum.kind", "k"; "continuum.config", "{" ]
            failsWith<InvalidDataException, _> [ path; "continuum.config" ] (fun () -> Checkpoint.Load path))
        withPath "a failing save leaves the previous checkpoint" (fun path ->
            sample.Save path
            let broken = { sample with Tensors = Array.append sample.Tensors sample.Tensors }
            failsWith<ArgumentException, _> [ "two tensors"; "'step'" ] (fun () -> broken.Save path)
            failsWith<ArgumentException, _> [ "Config" ] (fun () -> { sample with Config = "{" }.Save path)
            failsWith<ArgumentException, _> [ "kind" ] (fun () -> { sample with Kind = "" }.Save path)
            Expect.equal (Checkpoint.Load(path).Find("step").ToInt64s()) [| 7L |] "content")
        testCase "tensors are copied into a model whole or not at all" (fun () ->
            use _ = torch.NewDisposeScope()
            let weight = torch.zeros (2L, 2L, dtype = torch.float32, requires_grad = true)
            let step = torch.zeros (2L, dtype = torch.int64)
            let live = DisposeScopeManager.Statistics.ThreadTotalLiveCount
            let copy pairs () = sample.CopyTo(dict pairs)

            failsWith<InvalidDataException, _>
                [ "'bias'"; "'net.0.weight'" ]
                (copy [ "net.0.weight", weight; "bias", step ])

            failsWith<InvalidDataException, _>
                [ "'step'"; "()"; "(2)" ]
                (copy [ "net.0.weight", weight; "step", step ])

            Expect.equal (NamedArray.FromTensor("w", weight).ToDoubles()) [| 0.; 0.; 0.; 0. |] "unchanged"
            copy [ "net.0.weight", weight ] ()
            Expect.equal (NamedArray.FromTensor("w", weight).ToDoubles()) [| 1.; 2.; 3.; 4. |] "copied"
            Expect.isTrue weight.requires_grad "still a leaf to be trained"
            Expect.equal DisposeScopeManager.Statistics.ThreadTotalLiveCount live "live tensors")
    ]

/// What files of today hold: the keys, their order and the forms of values must stay.
let private configurations =
    let same name (written: string) (expected: string) (again: string) =
        Expect.equal written expected name
        Expect.equal again expected $"{name}, read again"

    testList "Configurations keep their text" [
        test "latent SDE" {
            let config: LatentSdeConfig = {
                Columns = [| "a"; "b" |]
                TimeName = "t"
                Logarithm = true
                LatentSize = 4
                ContextSize = 16
                Hidden = [| 32; 8 |]
                DecoderHidden = [||]
                Activation = Activation.Softplus
                Floor = 0.05
                StepsPerUnit = 2
                TimeUnit = 1.0
                Centre = [| 0.5; -1.0 |]
                Spread = [| 1.25; 1e-9 |]
                Span = 29.0
            }

            let text = LatentSdeText.toJson config

            same
                "text"
                text
                """{"columns":["a","b"],"timeName":"t","logarithm":true,"latentSize":4,"contextSize":16,"hidden":[32,8],"decoderHidden":[],"activation":"Softplus","floor":0.05,"stepsPerUnit":2,"timeUnit":1,"centre":[0.5,-1],"spread":[1.25,1E-09],"span":29}"""
                (LatentSdeText.toJson (LatentSdeText.ofJson "a file" text))
        }

        test "SDE-GAN" {
            let config: SdeGanConfig = {
                Columns = [| "a" |]
                TimeName = "t"
                Logarithm = false
                HiddenSize = 16
                NoiseSize = 3
                InitialNoiseSize = 5
                Hidden = [| 16 |]
                DiscriminatorSize = 8
                Solver = SdeGanSolver.Midpoint
                StepsPerUnit = 1
                TimeUnit = 0.5
                Steps = 10
                Centre = [| 0.0 |]
                Spread = [| 2.0 |]
            }

            let text = SdeGanText.toJson config

            same
                "text"
                text
                """{"columns":["a"],"timeName":"t","logarithm":false,"hiddenSize":16,"noiseSize":3,"initialNoiseSize":5,"hidden":[16],"discriminatorSize":8,"solver":"Midpoint","stepsPerUnit":1,"timeUnit":0.5,"steps":10,"centre":[0],"spread":[2]}"""
                (SdeGanText.toJson (SdeGanText.ofJson "a file" text))
        }

        test "neural SDE" {
            let config: NeuralSdeConfig = {
                Columns = [| "a" |]
                TimeName = "t"
                Logarithm = true
                Level = false
                TimeInput = false
                Correlated = false
                HalfLives = [| 5.0; 40.0 |]
                Lags = 1
                Hidden = [| 16 |]
                DriftHidden = [||]
                Activation = Activation.Tanh
                Floor = 0.05
                Density = TransitionDensity.Midpoint
                Origin = 1.0
                TimeUnit = 1.0
                Scale = [| 0.01 |]
                Centre = [| 3.0 |]
                Spread = [| 1.0 |]
                Correlation = [| 1.0 |]
                LastTime = 99.5
            }

            let text = NeuralSdeText.toJson config

            same
                "text"
                text
                """{"columns":["a"],"timeName":"t","logarithm":true,"level":false,"timeInput":false,"correlated":false,"halfLives":[5,40],"lags":1,"hidden":[16],"driftHidden":[],"activation":"Tanh","floor":0.05,"density":"Midpoint","origin":1,"timeUnit":1,"scale":[0.01],"centre":[3],"spread":[1],"correlation":[1],"lastTime":99.5}"""
                (NeuralSdeText.toJson (NeuralSdeText.ofJson "a file" text))

            let damaged = text.Replace("\"lags\":1", "\"lags\":\"one\"")

            Expect.throwsT<InvalidDataException>
                (fun () -> NeuralSdeText.ofJson "a file" damaged |> ignore)
                "a value of another kind"
        }
    ]

/// Files: atomic writing, safetensors, npy and npz, checkpoints, CSV.
let tests =
    testList "Files" [
        atomicFile
        safetensors
        npy
        checkpoint
        CsvTests.csvReading
        CsvTests.csvErrors
        CsvTests.series
        configurations
    ]

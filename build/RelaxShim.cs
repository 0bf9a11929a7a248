using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Replaces TorchSharp's shim in an output folder by a copy that loads with a libstdc++ older than gcc 13's.
/// The same patch as Solvers/ElfVersions.fs, which explains it: an inline MSBuild task must be one C# file and must not
/// load our assemblies. It only does what is safe and leaves every doubtful file alone; refusals with reasons are the
/// run time's work. Compiled against netstandard 2.0, hence no spans.
/// </summary>
public class RelaxShim : Task
{
    private const string Relaxable = "GLIBCXX_3.4.32";
    private const string Marker = "_ZSt21ios_base_library_initv";

    [Required]
    public string Path { get; set; }

    public override bool Execute()
    {
        var library = LibStdCxx();
        if (library == null || !File.Exists(Path))
            return true;
        try
        {
            var available = new HashSet<string>(new Elf(File.ReadAllBytes(library)).Defined());
            var shim = new Elf(File.ReadAllBytes(Path));
            if (shim.Relax(available))
                Replace(shim.Image);
        }
        catch (Exception failure) when (failure is ArgumentException || failure is IndexOutOfRangeException || failure is InvalidDataException)
        {
            Log.LogMessage(MessageImportance.Normal, "{0} was left as it is: {1}", Path, failure.Message);
        }
        return true;
    }

    /// <summary>The libstdc++ that the .NET runtime has loaded into this very process.</summary>
    private static string LibStdCxx() =>
        File.ReadLines("/proc/self/maps")
            .Where(line => line.Contains("/libstdc++.so.6"))
            .Select(line => line.Substring(line.IndexOf('/')))
            .FirstOrDefault();

    /// <summary>A new file and a rename: the old one is a hard link into the NuGet folder.</summary>
    private void Replace(byte[] image)
    {
        var temporary = Path + "." + Guid.NewGuid().ToString("N");
        File.WriteAllBytes(temporary, image);
        // Same time and size as the package's, so that the next build finds its copy up to date.
        File.SetLastWriteTimeUtc(temporary, File.GetLastWriteTimeUtc(Path));
        File.Replace(temporary, Path, null);
        Log.LogMessage(MessageImportance.Normal, "{0} no longer asks for {1}.", Path, Relaxable);
    }

    private sealed class Elf
    {
        private readonly List<(uint Kind, int Offset, int Size, int Link, int Count)> sections;

        public Elf(byte[] image)
        {
            Image = image;
            if (image.Length < 64 || U32(0) != 0x464c457f || image[4] != 2 || image[5] != 1)
                throw new InvalidDataException("it is not a 64-bit little-endian ELF file.");
            sections = Enumerable
                .Range(0, U16(0x3c))
                .Select(i => Int(0x28) + i * U16(0x3a))
                .Select(at => (U32(at + 4), Int(at + 24), Int(at + 32), Int(at + 40), Int(at + 44)))
                .ToList();
        }

        public byte[] Image { get; }

        /// <summary>The versions this library defines (SHT_GNU_verdef).</summary>
        public IEnumerable<string> Defined() =>
            from section in sections
            where section.Kind == 0x6ffffffd
            from at in Chain(section.Offset, section.Count, 16)
            select Text(sections[section.Link].Offset + Int(at + Int(at + 12)));

        /// <summary>Marks the one missing version weak (SHT_GNU_verneed); false when there is nothing to do.</summary>
        public bool Relax(ISet<string> available)
        {
            var missing = (
                from section in sections
                where section.Kind == 0x6ffffffe
                let names = sections[section.Link].Offset
                from at in Chain(section.Offset, section.Count, 12)
                where Text(names + Int(at + 4)) == "libstdc++.so.6"
                from aux in Chain(at + Int(at + 8), U16(at + 2), 12)
                let version = Text(names + Int(aux + 8))
                where (U16(aux + 4) & 2) == 0 && !available.Contains(version)
                select (Version: version, At: aux)
            ).ToList();
            if (missing.Any(need => need.Version != Relaxable || !OnlyMarker(U16(need.At + 6))))
                throw new InvalidDataException("it needs a newer libstdc++ for more than the marker " + Marker + ".");
            foreach (var need in missing)
                Image[need.At + 4] |= 2;
            return missing.Count > 0;
        }

        /// <summary>True when the version's only symbol is the marker (SHT_GNU_versym beside SHT_DYNSYM).</summary>
        private bool OnlyMarker(int index) =>
            (
                from versions in sections
                where versions.Kind == 0x6fffffff
                let symbols = sections[versions.Link]
                from i in Enumerable.Range(0, versions.Size / 2)
                where (U16(versions.Offset + 2 * i) & 0x7fff) == index
                select Text(sections[symbols.Link].Offset + Int(symbols.Offset + 24 * i))
            ).SequenceEqual(new[] { Marker });

        private IEnumerable<int> Chain(int at, int count, int link)
        {
            for (; count > 0; count--, at += Int(at + link))
                yield return at;
        }

        private int U16(int at) => BitConverter.ToUInt16(Image, at);

        private uint U32(int at) => BitConverter.ToUInt32(Image, at);

        // Sizes and offsets of a file that fits in an array: the upper half of a 64-bit field is zero.
        private int Int(int at) => BitConverter.ToInt32(Image, at);

        private string Text(int at) => Encoding.UTF8.GetString(Image, at, Array.IndexOf(Image, (byte)0, at) - at);
    }
}

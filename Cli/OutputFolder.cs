using System;
using System.IO;
using System.Linq;

namespace Continuum.Cli;

/// <summary>A folder for results that is known to take files, and ways to put them there whole or not at all.</summary>
internal sealed class OutputFolder
{
    private readonly string _path;

    private OutputFolder(string path) => _path = path;

    /// <summary>Makes the folder if need be and tries it with a small file, before hours are spent on what it is to hold.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="files">The names of the files to come.</param>
    /// <exception cref="IOException">It cannot be made or written to, or one of the files' names is a folder's.</exception>
    internal static OutputFolder Open(string path, params string[] files)
    {
        try
        {
            Directory.CreateDirectory(path);
            string trial = Beside(Path.Combine(path, "trial"));
            File.WriteAllBytes(trial, [0]);
            File.Delete(trial);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"the folder {path} cannot be written to: {failure.Message.TrimEnd('.')}; choose another with --out", failure);
        }

        string? taken = files.Select(name => Path.Combine(path, name)).FirstOrDefault(Directory.Exists);
        return taken is null ? new OutputFolder(path) : throw new IOException($"{taken} is a folder, not a file; remove it or choose another --out");
    }

    internal string PathOf(string name) => Path.Combine(_path, name);

    /// <summary>Writes a file beside its place and renames it.</summary>
    internal static void Write(string path, byte[] content)
    {
        string temporary = Beside(path);
        try
        {
            File.WriteAllBytes(temporary, content);
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    /// <summary>Writes a text beside its place and renames it.</summary>
    internal static void Write(string path, Action<TextWriter> write)
    {
        string temporary = Beside(path);
        try
        {
            using (StreamWriter writer = new(temporary) { NewLine = "\n" })
            {
                write(writer);
            }

            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    private static string Beside(string path) => $"{path}.{Environment.ProcessId}.tmp";
}

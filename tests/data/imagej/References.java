import ij.plugin.ContrastEnhancer;
import ij.plugin.filter.BackgroundSubtracter;
import ij.process.ByteProcessor;
import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Runs ImageJ on raw grey images. Each line of the file named first is a task:
 *
 * <pre>
 * input width height output subtract radius light smooth create
 * input width height output equalize classic
 * </pre>
 *
 * The last three words of the first and the last word of the second are true or false.
 */
public class References {
    public static void main(String[] arguments) throws Exception {
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            run(line.split(" "));
        }
    }

    private static void run(String[] words) throws IOException, ReflectiveOperationException {
        byte[] pixels = Files.readAllBytes(Path.of(words[0]));
        int width = Integer.parseInt(words[1]);
        int height = Integer.parseInt(words[2]);
        ByteProcessor image = new ByteProcessor(width, height, pixels);
        if (words[4].equals("subtract")) {
            subtract(image, words);
        } else {
            equalize(image, Boolean.parseBoolean(words[5]));
        }
        Files.write(Path.of(words[3]), (byte[]) image.getPixels());
    }

    private static void subtract(ByteProcessor image, String[] words) {
        double radius = Double.parseDouble(words[5]);
        boolean light = Boolean.parseBoolean(words[6]);
        boolean smooth = Boolean.parseBoolean(words[7]);
        boolean create = Boolean.parseBoolean(words[8]);
        new BackgroundSubtracter()
                .rollingBallBackground(image, radius, create, light, false, smooth, true);
    }

    private static void equalize(ByteProcessor image, boolean classic)
            throws ReflectiveOperationException {
        ContrastEnhancer enhancer = new ContrastEnhancer();
        // In the program one holds the Alt key for the classic way; without it there is the field.
        Field field = ContrastEnhancer.class.getDeclaredField("classicEqualization");
        field.setAccessible(true);
        field.setBoolean(enhancer, classic);
        enhancer.equalize(image);
    }
}

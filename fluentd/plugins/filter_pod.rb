# frozen_string_literal: true

require 'fluent/plugin/filter_kubernetes_metadata'

module Fluent
  module Plugin
    # kubernetes_metadata (3.7.1) asks the API server again for each line of a pod that it has not found once, also when it
    # is there later, and waits for seconds each time when the server is away. This asks once in a while.
    class PodFilter < KubernetesMetadataFilter
      Fluent::Plugin.register_filter('pod', self)

      desc 'For how long an answer serves'
      config_param :answer_ttl, :time, default: 30

      MAX_ANSWERS = 10_000

      # Fluentd wants a filter to have this by itself.
      def filter(tag, time, record)
        super
      end

      # Nothing of namespaces is wanted, so no right to read them is needed.
      def set_up_namespace_thread; end

      # Called for what is not in the plugin's own cache.
      def fetch_pod_metadata(namespace, pod)
        @answers ||= {}
        until_when, answer = @answers[[namespace, pod]]
        return answer.dup if answer && until_when > Fluent::Clock.now

        answer = super
        @answers.clear if @answers.size >= MAX_ANSWERS
        @answers[[namespace, pod]] = [Fluent::Clock.now + @answer_ttl, answer]
        answer.dup
      end
    end
  end
end
